//! Parameters of the reading routes: query, form and JSON body in one shape.
//!
//! Does: keep repeated names (`group=a&group=b`), refuse unknown ones, read times, build the
//! selection. Does not: decide what the parameters mean together (the routes).
//! In: a query string, maybe a POST body. Out: texts by name, or a 400 with what to write instead.

use actix_web::{HttpRequest, web};
use ocelli_bus::read::Selection;
use ocelli_model::clock::WallMs;
use ocelli_model::filter::Filter;
use ocelli_model::panoptes::Projection;
use ocelli_model::time_text::parse_time;
use serde_json::Value;

use super::ApiError;
use super::access::{Caller, both};

/// Most values of one name: groups and metrics of a large schema.
const VALUES_MAX: usize = 1_024;
/// Parameters that select, known to every reading route.
const SELECTING: [&str; 3] = ["filter", "group", "metric"];

/// Names and values as given, in order, and the caller's own filter, which narrows every answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Parameters {
    pairs: Vec<(String, String)>,
    /// What the caller sees at all.
    narrow: Option<Filter>,
}

impl Parameters {
    /// Those of the query string; `known` are the route's beside the selecting ones.
    ///
    /// # Errors
    /// 400 for a parameter that the route does not know.
    pub(super) fn of_query(request: &HttpRequest, known: &[&str]) -> Result<Self, ApiError> {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string())
            .map_err(|error| bad(&error.to_string()))?
            .into_inner();
        let narrow = Caller::filter_of(request);
        Self { pairs, narrow }.checked(known)
    }

    /// The same with those of a POST body added: a JSON object, or a bare cursor as `from`.
    ///
    /// # Errors
    /// 400 for a body that is neither, and as [`Self::of_query`].
    pub(super) fn with_body(mut self, body: &[u8], known: &[&str]) -> Result<Self, ApiError> {
        let text = std::str::from_utf8(body)
            .map_err(|_| bad("the body is not UTF-8"))?
            .trim();
        if text.is_empty() {
            return Ok(self);
        }
        if !text.starts_with('{') {
            self.pairs.push(("from".to_owned(), text.to_owned()));
            return Ok(self);
        }
        let value: Value = serde_json::from_str(text).map_err(|error| bad(&error.to_string()))?;
        for (name, value) in value.as_object().into_iter().flatten() {
            let values = value
                .as_array()
                .map_or(std::slice::from_ref(value), Vec::as_slice);
            for value in values {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                self.pairs.push((name.clone(), text));
            }
        }
        self.checked(known)
    }

    fn checked(self, known: &[&str]) -> Result<Self, ApiError> {
        let is_known = |name: &str| {
            SELECTING.contains(&name)
                || known.contains(&name)
                || (known.contains(&"dimension.") && name.starts_with("dimension."))
        };
        if self.pairs.len() > VALUES_MAX {
            return Err(bad(&format!(
                "{} parameters; {VALUES_MAX} is the limit",
                self.pairs.len()
            )));
        }
        match self.pairs.iter().find(|(name, _)| !is_known(name)) {
            Some((name, _)) => {
                let message = format!("unknown parameter {name:?}");
                let all: Vec<&str> = SELECTING.iter().chain(known).copied().collect();
                Err(ApiError::bad_request(
                    &message,
                    &format!("known are: {}", all.join(", ")),
                ))
            }
            None => Ok(self),
        }
    }

    /// The last value of a name.
    pub(super) fn one(&self, name: &str) -> Option<&str> {
        let mut values = self.pairs.iter().rev().filter(|(given, _)| given == name);
        values.next().map(|(_, value)| value.as_str())
    }

    /// All values of a name; commas separate values too.
    pub(super) fn many(&self, name: &str) -> Vec<String> {
        let values = self.pairs.iter().filter(|(given, _)| given == name);
        let parts = values.flat_map(|(_, value)| value.split(','));
        parts
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// (dimension, value) of `dimension.NAME=value`.
    pub(super) fn dimensions(&self) -> Vec<(String, String)> {
        let named = self.pairs.iter().filter_map(|(name, value)| {
            Some((name.strip_prefix("dimension.")?.to_owned(), value.clone()))
        });
        named.collect()
    }

    /// A number, or `default`.
    ///
    /// # Errors
    /// 400 outside 1 to `max`.
    pub(super) fn number(
        &self,
        name: &str,
        (default, max): (usize, usize),
    ) -> Result<usize, ApiError> {
        let Some(text) = self.one(name) else {
            return Ok(default);
        };
        let number = text
            .parse()
            .ok()
            .filter(|number| (1..=max).contains(number));
        number.ok_or_else(|| bad(&format!("{name} is {text:?}; it must be 1 to {max}")))
    }

    /// Whether a switch is on.
    ///
    /// # Errors
    /// 400 for anything but `true` and `false`.
    pub(super) fn switch(&self, name: &str) -> Result<bool, ApiError> {
        match self.one(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(bad(&format!("{name} is {other:?}; write true or false"))),
        }
    }

    /// One of `choices`, the first if none was given.
    ///
    /// # Errors
    /// 400 for another text.
    pub(super) fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<T, ApiError> {
        let given = self.one(name).unwrap_or(choices[0].0);
        let found = choices.iter().find(|(text, _)| *text == given);
        found.map(|(_, choice)| *choice).ok_or_else(|| {
            let all: Vec<&str> = choices.iter().map(|(text, _)| *text).collect();
            bad(&format!("{name} is {given:?}; choose {}", all.join(", ")))
        })
    }

    /// A time: RFC 3339, Unix seconds or milliseconds, or `-15m` before now.
    ///
    /// # Errors
    /// 400 for another text.
    pub(super) fn time(&self, name: &str, now: WallMs) -> Result<Option<WallMs>, ApiError> {
        let Some(text) = self.one(name) else {
            return Ok(None);
        };
        let time = parse_time(text, now);
        time.map(Some).ok_or_else(|| {
            let message = format!("{name} is {text:?}, which is no time");
            ApiError::bad_request(&message, "write 2026-01-31T08:00:00Z, -15m or Unix seconds")
        })
    }

    /// `from` and `to`.
    ///
    /// # Errors
    /// 400 for a text that is no time, and for an end before the beginning: it would hold nothing.
    pub(super) fn span(&self, now: WallMs) -> Result<(Option<WallMs>, Option<WallMs>), ApiError> {
        let (from, to) = (self.time("from", now)?, self.time("to", now)?);
        if from.zip(to).is_some_and(|(from, to)| from > to) {
            let message = format!(
                "from is {:?}, which is after to, {:?}",
                self.one("from").unwrap_or_default(),
                self.one("to").unwrap_or_default()
            );
            return Err(ApiError::bad_request(
                &message,
                "write the earlier time as from",
            ));
        }
        Ok((from, to))
    }

    /// The filter that was given, and the caller's.
    ///
    /// # Errors
    /// 400 with the place of the mistake.
    pub(super) fn filter(&self) -> Result<Option<Filter>, ApiError> {
        let parse = |text: &str| {
            text.parse::<Filter>().map_err(|error| {
                let hint = "for example: resource_class = \"network\"";
                ApiError::bad_request(&format!("filter: {error}"), hint)
            })
        };
        let given = self.one("filter").map(parse).transpose()?;
        Ok(both(given, self.narrow.clone()))
    }

    /// Filter, groups and metrics.
    ///
    /// # Errors
    /// As [`Self::filter`].
    pub(super) fn selection(&self) -> Result<Selection, ApiError> {
        let projection = Projection {
            groups: self.many("group"),
            metrics: self.many("metric"),
        };
        Ok(Selection::new(self.filter()?, projection))
    }
}

fn bad(message: &str) -> ApiError {
    ApiError::bad_request(message, "see /v1/openapi.json")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_query_and_body_are_parameters_or_an_error(
            query in "(group|filter|from|limit|dimension[.]a|x)?[=&%+~,.a-fA-F0-9_\\-]{0,80}",
            body in proptest::collection::vec(any::<u8>(), 0..120),
            is_object in any::<bool>(),
        ) {
            const KNOWN: &[&str] = &["from", "limit", "rebase", "dimension."];
            let request = TestRequest::with_uri(&format!("/v1/samples?{query}")).to_http_request();
            let body = match is_object {
                true => [b"{\"from\":", body.as_slice(), b"}"].concat(),
                false => body,
            };
            let Ok(given) = Parameters::of_query(&request, KNOWN) else {
                return Ok(());
            };
            for given in [Some(given.clone()), given.with_body(&body, KNOWN).ok()] {
                let Some(given) = given else {
                    continue;
                };
                let now = WallMs(i64::MAX / 2);
                drop((given.selection(), given.time("from", now), given.switch("rebase")));
                if let Ok(limit) = given.number("limit", (7, 500)) {
                    prop_assert!((1..=500).contains(&limit));
                }
            }
        }
    }

    #[test]
    fn repeated_and_comma_separated_values_add_up_and_the_last_single_one_wins() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let pairs = vec![
            pair("group", "a,b"),
            pair("group", "c"),
            pair("from", "now"),
            pair("from", "latest"),
            pair("dimension.interface_name", "lo"),
        ];
        let given = Parameters {
            pairs,
            narrow: None,
        };
        assert_eq!(given.many("group"), ["a", "b", "c"]);
        assert_eq!(given.one("from"), Some("latest"));
        assert_eq!(given.dimensions(), [pair("interface_name", "lo")]);
        assert!(
            given.clone().checked(&["from"]).is_err(),
            "dimensions are not for every route"
        );
        assert!(given.checked(&["from", "dimension."]).is_ok());
    }

    #[test]
    fn an_end_before_the_beginning_is_refused() {
        let span = |from: &str, to: &str| {
            let pairs = [("from", from), ("to", to)];
            let given = pairs.iter().filter(|(_, text)| !text.is_empty());
            let given = Parameters {
                pairs: given
                    .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                    .collect(),
                narrow: None,
            };
            let span = given.span(WallMs(10_000));
            span.map_err(|error| error.to_string())
        };
        assert_eq!(span("", ""), Ok((None, None)));
        assert_eq!(span("-2s", ""), Ok((Some(WallMs(8_000)), None)));
        assert_eq!(
            span("4", "4"),
            Ok((Some(WallMs(4_000)), Some(WallMs(4_000))))
        );
        let refused = span("-1s", "-2s").unwrap_err();
        assert!(
            refused.contains("from is \"-1s\", which is after to"),
            "{refused}"
        );
        assert!(span("soon", "4").is_err());
    }

    #[test]
    fn a_body_is_a_cursor_or_an_object() {
        let none = Parameters::default();
        let cursor = none
            .clone()
            .with_body(b"1~0000000000000007\n", &["from"])
            .unwrap();
        assert_eq!(cursor.one("from"), Some("1~0000000000000007"));
        let object = br#"{"group": ["a", "b"], "rebase": true}"#;
        let object = none.clone().with_body(object, &["rebase"]).unwrap();
        assert_eq!(object.many("group"), ["a", "b"]);
        assert!(object.switch("rebase").unwrap());
        assert!(none.clone().with_body(b"{\"x\":1}", &[]).is_err());
        assert!(none.with_body(b"{", &[]).is_err());
    }
}
