//! Tests of `fault`.

use super::*;

#[test]
fn each_kind_is_read_with_its_value() {
    let check = |spec: &str, kind: FaultKind| {
        let fault = parse_fault(spec).unwrap();
        assert_eq!(fault.kind, kind, "{spec}");
    };
    check("silence", FaultKind::Silence);
    check("loss=0.25", FaultKind::Loss(0.25));
    check(
        "delay=1s500ms",
        FaultKind::Delay(Duration::from_millis(1_500)),
    );
    check("reboot", FaultKind::Reboot { boots: None });
    check("reboot:boots=2", FaultKind::Reboot { boots: Some(2) });
    check("reindex", FaultKind::Reindex);
    check("reset", FaultKind::Reset);
    check("wrap", FaultKind::Wrap);
    check("wrong-source", FaultKind::WrongSource);
    check("garbage", FaultKind::Garbage);
    check("stuck", FaultKind::Stuck);
    check("endless", FaultKind::Endless);
    check("toobig=20", FaultKind::TooBig(20));
    check("foreign-id", FaultKind::ForeignId);
}

#[test]
fn agents_and_times_select() {
    let fault = parse_fault("silence:agents=3-5+9,from=10s,for=20s").unwrap();
    let selected: Vec<u32> = (1..12).filter(|agent| fault.is_of(*agent)).collect();
    assert_eq!(selected, [3, 4, 5, 9]);
    let is_active = |seconds| fault.is_active(Duration::from_secs(seconds));
    assert_eq!([9, 10, 29, 30].map(is_active), [false, true, true, false]);
    let always = parse_fault("silence").unwrap();
    assert!(always.is_of(77) && always.is_active(Duration::ZERO));
}

#[test]
fn a_bad_specification_names_the_place() {
    let check = |spec: &str, column: usize, reason: &str| {
        let error = parse_fault(spec).unwrap_err();
        assert_eq!(error.column, column, "{error}");
        assert!(error.reason.contains(reason), "{error}");
        assert!(error.to_string().contains(spec), "{error}");
    };
    check("", 1, "\"\" is no fault");
    check("silent", 1, "known are silence");
    check("silence=3", 9, "takes no value");
    check("loss", 1, "loss=…");
    check("loss=1.5", 6, "ratio");
    check("loss=NaN", 6, "ratio");
    check("delay=5x", 7, "5x");
    check("toobig=many", 8, "count");
    check("silence:", 9, "KEY=VALUE");
    check("silence:agents=1,until=5s", 18, "\"until\"");
    check("silence:agents=5-3", 16, "5-3");
    check("silence:agents=0", 16, "\"0\"");
    check("silence:agents=1+x", 18, "\"x\"");
    check("silence:from=soon", 14, "soon");
    check("silence:boots=3", 9, "reboot alone");
    check("reboot:boots=-1", 14, "-1");
    let many = format!("silence:agents={}", vec!["1"; 65].join("+"));
    check(&many, 16, "64 is the limit");
}
