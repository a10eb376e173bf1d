//! Proof of batch bodies: any batch comes back; any bytes are a batch or an error.

use std::sync::Arc;

use ocelli_model::batch::{Batch, CounterColumn, GroupValues, Verdict};
use ocelli_model::clock::WallMs;
use ocelli_model::columns::GaugeColumn;
use ocelli_model::gap::{GapCause, GapKind};
use ocelli_model::rows::Partial;
use proptest::prelude::*;

use super::*;
use crate::testing::{Mix, any_batch, frame_of, switch_batch, switch_batch_of};

fn encode(batch: &Batch) -> Vec<u8> {
    let mut bytes = Vec::new();
    BatchEncoder::default().encode(batch, &mut bytes).unwrap();
    bytes
}

fn decode(bytes: &[u8], like: &Batch, into: &mut Batch) -> Result<(), BodyError> {
    BodyView::parse(bytes, &frame_of(like))?.decode_into(into)
}

proptest! {
    #[test]
    fn any_batch_comes_back_into_memory_that_held_another(
        batch in any_batch(), other in any_batch()
    ) {
        let bytes = encode(&batch);
        let mut read = other;
        decode(&bytes, &batch, &mut read).unwrap();
        prop_assert_eq!(&read, &batch);
    }

    #[test]
    fn a_column_read_alone_is_the_column_of_the_whole(batch in any_batch()) {
        let bytes = encode(&batch);
        let frame = frame_of(&batch);
        let view = BodyView::parse(&bytes, &frame).unwrap();
        for (group, values) in batch.groups.iter().enumerate() {
            let section = view.section(group).unwrap();
            prop_assert_eq!(section.rows(), values.len());
            for (index, column) in values.counters.iter().enumerate() {
                let mut read = CounterColumn::default();
                section.read_counter(index, &mut read).unwrap();
                read.own_dt.clone_from(&column.own_dt);
                prop_assert_eq!(&read, column);
            }
            for (index, column) in values.gauges.iter().enumerate() {
                let mut read = GaugeColumn::default();
                section.read_gauge(index, &mut read).unwrap();
                prop_assert_eq!(&read, column);
            }
        }
    }

    #[test]
    fn a_changed_or_cut_body_never_panics(
        batch in any_batch(), at in any::<prop::sample::Index>(),
        byte in any::<u8>(), is_cut in any::<bool>(),
    ) {
        let mut bytes = encode(&batch);
        let at = at.index(bytes.len());
        if is_cut { bytes.truncate(at) } else { bytes[at] = byte }
        let mut read = empty_batch();
        if decode(&bytes, &batch, &mut read).is_ok() {
            prop_assert!(!is_cut, "a cut body was read");
            prop_assert!(read.groups.iter().zip(&batch.groups).all(|(a, b)| a.len() == b.len()));
            encode(&read);
        }
    }
}

#[test]
fn a_batch_of_another_shape_than_its_schema_is_refused_and_nothing_is_written() {
    let check = |change: fn(&mut Batch), what: &str| {
        let mut batch = switch_batch(4, 0);
        change(&mut batch);
        let mut bytes = vec![1];
        let error = BatchEncoder::default()
            .encode(&batch, &mut bytes)
            .unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
        assert_eq!(bytes, [1]);
    };
    check(|batch| batch.groups.clear(), "groups");
    check(|batch| batch.groups[0].dt_ms.truncate(3), "intervals");
    check(|batch| batch.groups[0].counters.truncate(3), "columns");
    check(
        |batch| batch.groups[0].counters[0].values.truncate(3),
        "a counter column",
    );
    check(
        |batch| batch.groups[0].counters[0].own_dt = vec![(4, 1)],
        "own intervals",
    );
    check(
        |batch| batch.groups[0].gauges[0] = GaugeColumn::default(),
        "a gauge column",
    );
    check(|batch| batch.rows = switch_batch(5, 0).rows, "rows");
}

#[test]
fn a_body_for_other_rows_is_refused_before_memory_is_taken() {
    let batch = switch_batch(4, 0);
    let bytes = encode(&batch);
    let mut frame = frame_of(&batch);
    frame.rows = switch_batch(5, 0).rows;
    let error = BodyView::parse(&bytes, &frame).unwrap_err();
    assert_eq!(
        error,
        BodyError::Rows {
            group: 0,
            found: 4,
            expected: 5
        }
    );
}

#[test]
fn a_partial_batch_keeps_cause_detail_and_place() {
    let mut batch = switch_batch(2, 0);
    let cause = GapCause::because(GapKind::Auth, "wrong_digest");
    batch.partial = Some(Partial {
        cause,
        reached: "1.3.6.1.2.1.31.1.1.1.6.7".into(),
    });
    let mut read = empty_batch();
    decode(&encode(&batch), &batch, &mut read).unwrap();
    assert_eq!(read.partial, batch.partial);
    let mut bytes = encode(&batch);
    bytes[0] = 250;
    decode(&bytes, &batch, &mut read).unwrap();
    let cause = read.partial.unwrap().cause;
    assert_eq!(
        cause.to_string(),
        "plugin_error/cause 250: wrong_digest",
        "a later cause"
    );
}

#[test]
fn first_values_of_a_switch_cost_one_verdict_for_all_of_them() {
    let mut batch = switch_batch(48, 1);
    let with_rates = encode(&batch).len();
    let first = |column: &mut CounterColumn| {
        column.verdicts.fill(Verdict::First);
        column.deltas.fill(0);
    };
    batch
        .groups
        .iter_mut()
        .flat_map(|group| &mut group.counters)
        .for_each(first);
    assert!(encode(&batch).len() < with_rates);
    batch.groups[0].counters[3].verdicts[7] = Verdict::Reset;
    let mut read = empty_batch();
    decode(&encode(&batch), &batch, &mut read).unwrap();
    assert_eq!(read, batch);
}

#[test]
fn a_group_of_one_row_without_dimensions_needs_no_table() {
    let mut batch = switch_batch(1, 0);
    let mut schema = (*batch.schema).clone();
    schema.groups[0].dimensions.clear();
    batch.schema = Arc::new(schema);
    let mut rows = (*batch.rows).clone();
    rows.groups[0].reset(0);
    batch.rows = Arc::new(rows);
    let mut read = empty_batch();
    decode(&encode(&batch), &batch, &mut read).unwrap();
    assert_eq!(read.groups[0].time, [WallMs(batch.groups[0].time[0].0)]);
    batch.groups[0] = GroupValues {
        counters: vec![CounterColumn::default(); batch.groups[0].counters.len()],
        gauges: vec![GaugeColumn::default(); batch.groups[0].gauges.len()],
        ..GroupValues::default()
    };
    decode(&encode(&batch), &batch, &mut read).unwrap();
    assert!(read.groups[0].is_empty(), "no row is possible too");
}

#[test]
fn a_sample_of_a_switch_costs_at_most_the_bytes_promised() {
    for (mix, most) in [(Mix::Office, 1.7), (Mix::Busy, 3.2)] {
        let batch = switch_batch_of(48, mix, 5);
        let count = batch.sample_count();
        let samples = count.counters + count.gauges + count.rates;
        let per_sample = encode(&batch).len() as f64 / samples as f64;
        eprintln!("{mix:?}: {per_sample:.2} bytes a sample");
        assert!(per_sample <= most, "{mix:?}: {per_sample} bytes a sample");
    }
}
