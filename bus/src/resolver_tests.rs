//! Proof of the resolver against definitions of unknown honesty.

use proptest::prelude::*;

use super::*;

fn apply(resolver: &mut Resolver, definition: &Definition) -> Result<(), ResolveError> {
    let mut body = Vec::new();
    definition.encode(&mut body).unwrap();
    resolver.apply(&body)
}

fn texts(first: u32, columns: u16, cells: &[&str]) -> Texts {
    let cells = cells.iter().map(|cell| (*cell).to_owned()).collect();
    Texts {
        first: DefinitionId(first),
        columns,
        cells,
    }
}

fn row_set(id: u32, runs: &[(u32, u32, u32)]) -> Definition {
    let run = |(row, attributes, count): &(u32, u32, u32)| Run {
        row: DefinitionId(*row),
        attributes: DefinitionId(*attributes),
        count: *count,
    };
    let runs = runs.iter().map(run).collect();
    let groups = vec![RowGroup {
        keys: 1,
        attributes: 1,
        runs,
    }];
    Definition::RowSet {
        id: DefinitionId(id),
        groups,
    }
}

#[test]
fn rows_of_several_runs_stand_in_their_order() {
    let mut resolver = Resolver::new();
    apply(
        &mut resolver,
        &Definition::Rows(texts(10, 1, &["a", "b", "c"])),
    )
    .unwrap();
    apply(
        &mut resolver,
        &Definition::Attributes(texts(20, 1, &["x", "", "z"])),
    )
    .unwrap();
    apply(&mut resolver, &row_set(30, &[(11, 21, 2), (10, 20, 1)])).unwrap();
    let rows = resolver.row_set(DefinitionId(30)).unwrap();
    let table = &rows.groups[0];
    let read: Vec<_> = (0..3)
        .map(|row| (table.get(row, 0), table.get(row, 1)))
        .collect();
    assert_eq!(
        read,
        [
            (Some("b"), None),
            (Some("c"), Some("z")),
            (Some("a"), Some("x"))
        ]
    );
    let again = resolver.row_set(DefinitionId(30)).unwrap();
    assert!(Arc::ptr_eq(&rows, &again), "readers share one row set");
}

#[test]
fn what_is_not_whole_is_refused_with_its_id() {
    let check = |definition: Definition, expected: &str| {
        let error = apply(&mut Resolver::new(), &definition)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(Definition::Rows(texts(10, 0, &[])), "definition 10");
    check(Definition::Rows(texts(10, 65, &[])), "1 to 64 dimensions");
    check(Definition::Rows(texts(10, 2, &["a"])), "cut");
    check(row_set(30, &[(1, 1, u32::MAX)]), "too many rows");
    let schema = Schema {
        groups: Vec::new(),
        rate_formula: 1,
        tags: BTreeMap::new(),
    };
    check(
        Definition::Schema {
            id: DefinitionId(4),
            schema,
        },
        "schema 4",
    );
    check(
        Definition::TaggedSchema {
            id: DefinitionId(5),
            schema: Schema::clone(&crate::testing::switch_batch(1, 0).schema),
            tags: BTreeMap::from([("team".to_owned(), String::new())]),
        },
        "schema 5: tag \"team\" has no name, no value",
    );
    let groups = vec![RowGroup {
        keys: 60,
        attributes: 5,
        runs: Vec::new(),
    }];
    check(
        Definition::RowSet {
            id: DefinitionId(5),
            groups,
        },
        "too many dimensions",
    );
}

#[test]
fn an_id_that_was_not_defined_is_named() {
    let mut resolver = Resolver::new();
    apply(&mut resolver, &Definition::Rows(texts(10, 1, &["a"]))).unwrap();
    apply(&mut resolver, &row_set(30, &[(10, 20, 1)])).unwrap();
    let check = |error: ResolveError, expected: &str| {
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(
        resolver.row_set(DefinitionId(30)).unwrap_err(),
        "id 20 is no attributes",
    );
    check(
        resolver.row_set(DefinitionId(31)).unwrap_err(),
        "id 31 is no row set",
    );
    check(
        resolver.schema(DefinitionId(0)).unwrap_err(),
        "id 0 is no schema",
    );
    check(
        resolver.resource(DefinitionId(9)).unwrap_err(),
        "id 9 is no resource",
    );
    assert!(resolver.plugin(DefinitionId::NONE).unwrap().is_none());
}

#[test]
fn runs_that_repeat_long_rows_do_not_grow_memory_without_end() {
    let mut resolver = Resolver::new();
    let long = "x".repeat(1_000);
    apply(&mut resolver, &Definition::Rows(texts(10, 1, &[&long]))).unwrap();
    apply(
        &mut resolver,
        &Definition::Attributes(texts(20, 1, &[&long])),
    )
    .unwrap();
    let runs = vec![(10, 20, 1); 40_000];
    apply(&mut resolver, &row_set(30, &runs)).unwrap();
    let error = resolver.row_set(DefinitionId(30)).unwrap_err();
    assert!(
        matches!(error, ResolveError::RowSetTooLarge { .. }),
        "{error}"
    );
}

proptest! {
    #[test]
    fn any_changed_definition_is_refused_or_understood(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), is_sealed in any::<bool>()
    ) {
        let mut body = Vec::new();
        row_set(30, &[(11, 21, 2), (10, 20, 1)]).encode(&mut body).unwrap();
        let at = at.index(body.len());
        body[at] = byte;
        if is_sealed {
            // An honest checksum over what was changed: the codec has to cope with the rest.
            let crc = crc32c::crc32c_append(crc32c::crc32c(&body[4..12]), &body[16..]);
            body[12..16].copy_from_slice(&crc.to_le_bytes());
        }
        let mut resolver = Resolver::new();
        if resolver.apply(&body).is_ok() {
            prop_assert!(resolver.row_set(DefinitionId(30)).is_err(), "no row was defined");
        }
    }
}
