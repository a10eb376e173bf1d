//! Tests of questions: what is asked arrives, what is malformed says why, scopes narrow.

use std::sync::Arc;

use ocelli_bus::SeqRanges;
use ocelli_bus::record::{OriginId, Seq, StreamId};
use ocelli_model::resource::{Resource, ResourceFields};
use proptest::prelude::*;

use super::*;

fn cursor() -> Cursor {
    let taken = [(StreamId::data(OriginId(7)), SeqRanges::up_to(Seq(9)))];
    Cursor {
        selection: 3,
        taken: taken.into(),
        may_repeat: false,
    }
}

fn of_site(site: &str) -> Arc<Resource> {
    let fields = ResourceFields {
        identity: [site, "network", "switch", "generic", "sw1"].map(str::to_owned),
        endpoint: "sw1".to_owned(),
        plugin: "by-hand".to_owned(),
        ..ResourceFields::default()
    };
    Arc::new(Resource::new(fields).unwrap())
}

fn starts() -> impl Strategy<Value = StartFrom> {
    prop_oneof![
        Just(StartFrom::Now),
        Just(StartFrom::Latest),
        Just(StartFrom::Oldest),
        any::<i64>().prop_map(|time| StartFrom::Time(WallMs(time))),
        Just(StartFrom::Cursor(cursor())),
    ]
}

proptest! {
    #[test]
    fn what_is_asked_is_what_arrives(
        from in starts(),
        names in prop::collection::vec("\\PC{0,20}", 0..4),
        id in "[a-z\"' %_]{1,9}",
        format in prop::sample::select(LineFormat::ALL.to_vec()),
        flags in any::<[bool; 6]>(),
    ) {
        let filter = Expression::Condition(Condition {
            field: Field::Plain(0),
            is_negated: flags[4],
            test: Test::OneOf(vec![id, "x".to_owned()]),
        });
        let question = Question {
            filter: flags[0].then(|| Filter::of_expression(filter, &Vocabulary::resource())),
            projection: Projection { groups: names.clone(), metrics: names },
            from,
            mode: if flags[1] { Mode::Latest } else { Mode::Durable },
            include: Include { gaps: flags[2], events: flags[3] },
            is_in_order: !flags[1] && flags[4],
            rebase: flags[2],
            format: format.1,
            cursors: flags[5],
        };
        prop_assert_eq!(Question::decode(&question.encode()).unwrap(), question);
    }

    #[test]
    fn any_bytes_are_a_question_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(question) = Question::decode(&bytes) {
            prop_assert_eq!(Question::decode(&question.encode()).unwrap(), question);
        }
    }
}

#[test]
fn what_is_no_question_is_refused_with_what_is_wrong() {
    let names = vec!["x"; NAMES_MAX + 1];
    let many = serde_json::json!({"version": 1, "from": "now", "group": names}).to_string();
    for (body, expected) in [
        ("", "malformed"),
        ("[]", "malformed"),
        (r#"{"from":"now"}"#, "version"),
        (r#"{"version":2,"from":"now","new":1}"#, "version 2"),
        (
            r#"{"version":1,"from":"now","sites":["a"]}"#,
            "unknown field `sites`",
        ),
        (r#"{"version":1,"from":"soon"}"#, "from: cursor"),
        (
            r#"{"version":1,"from":"now","mode":"best"}"#,
            "unknown variant `best`",
        ),
        (
            r#"{"version":1,"from":"now","filter":"colour = \"red\""}"#,
            "colour",
        ),
        (
            r#"{"version":1,"from":"now","mode":"latest","order":"seq"}"#,
            "leave one out",
        ),
        (many.as_str(), "1025 groups"),
    ] {
        let error = Question::decode(body.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{body:.60}: {error}");
    }
}

#[test]
fn a_scope_narrows_whatever_is_asked() {
    let filter = |text: &str| Some(text.parse::<Filter>().unwrap());
    let dc1 = SiteScope::of_site("dc1");
    for (name, scope, asked, site, expected) in [
        ("no scope, no filter", SiteScope::Every, None, "dc2", true),
        ("own site", dc1.clone(), None, "dc1", true),
        ("other site", dc1.clone(), None, "dc2", false),
        (
            "other site by name",
            dc1.clone(),
            filter("resource_site = \"dc2\""),
            "dc2",
            false,
        ),
        (
            "an OR does not widen",
            dc1.clone(),
            filter("resource_site = \"dc1\" OR resource_site = \"dc2\""),
            "dc2",
            false,
        ),
        (
            "filter within",
            dc1.clone(),
            filter("resource_id = \"sw2\""),
            "dc1",
            false,
        ),
        (
            "nothing allowed",
            SiteScope::of_sites([]).unwrap(),
            None,
            "dc1",
            false,
        ),
    ] {
        let question = Question {
            filter: asked,
            ..Question::default()
        };
        let is_seen = question.selection(&scope).has_resource(&of_site(site));
        assert_eq!(is_seen, expected, "{name}");
    }
}

#[test]
fn a_cursor_of_an_unscoped_asker_has_the_hash_that_http_gives_it() {
    let question = Question {
        filter: Some("resource_id = \"sw1\"".parse().unwrap()),
        ..Question::default()
    };
    let over_http = Selection::new(question.filter.clone(), Projection::default());
    assert_eq!(
        question.selection(&SiteScope::Every).hash(),
        over_http.hash()
    );
    let scoped = question.selection(&SiteScope::of_site("dc1"));
    assert_ne!(
        scoped.hash(),
        over_http.hash(),
        "it passes over what others want"
    );
}
