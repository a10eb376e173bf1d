//! What a subscriber asks another node.
//!
//! Does: write and read the body of a Subscribe request: JSON with the names of `/v1/subscribe`.
//! Does not: begin anything (`serve`). In: a [`Question`] or bytes of a peer. Out: the other.
//! A member or version that a node does not know is refused, never passed over: it may narrow.

use ocelli_bus::read::{Cursor, CursorTextError, Include, LineFormat, Mode, Selection, StartFrom};
use ocelli_model::clock::WallMs;
use ocelli_model::filter::{Condition, Expression, Field, Filter, FilterError, Test, Vocabulary};
use ocelli_model::panoptes::Projection;
use serde::{Deserialize, Serialize};

use crate::identity::SiteScope;

/// Most names of groups or metrics of a question.
pub const NAMES_MAX: usize = 1_024;
/// Of the body.
const VERSION: u16 = 1;
/// The field that scopes speak of.
const SITE_FIELD: &str = "resource_site";

/// What is asked of a serving node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Which resources; `None`: all that the asker may see.
    pub filter: Option<Filter>,
    /// Groups and metrics.
    pub projection: Projection,
    /// Where to begin.
    pub from: StartFrom,
    /// What to do when slow.
    pub mode: Mode,
    /// What beside batches.
    pub include: Include,
    /// Each stream in the order of its seqs; not with [`Mode::Latest`].
    pub is_in_order: bool,
    /// Take a cursor of another filter or projection all the same.
    pub rebase: bool,
    /// Of the lines.
    pub format: LineFormat,
    /// Whether cursors come among them.
    pub cursors: bool,
}

/// All data from now on, as records with cursors.
impl Default for Question {
    fn default() -> Self {
        Self {
            filter: None,
            projection: Projection::default(),
            from: StartFrom::default(),
            mode: Mode::default(),
            include: Include::default(),
            is_in_order: false,
            rebase: false,
            format: LineFormat::Records,
            cursors: true,
        }
    }
}

/// Why a body is no question.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuestionError {
    /// Not the JSON it should be.
    #[error("subscription question is malformed: {0}; see PROTOCOL.md §5")]
    Malformed(#[from] serde_json::Error),
    /// Of another version.
    #[error("subscription question has version {found}, this node reads {VERSION}; upgrade it")]
    Version {
        /// Its version.
        found: u16,
    },
    /// The filter.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// `from` is nothing known.
    #[error("from: {0} (it is now, latest, oldest, milliseconds since 1970 or a cursor)")]
    From(#[from] CursorTextError),
    /// Too many names.
    #[error("{count} groups and metrics; {NAMES_MAX} is the limit, leave them out to get all")]
    TooManyNames {
        /// How many.
        count: usize,
    },
    /// Two wishes that exclude one another.
    #[error("order=seq with mode=latest, which passes over what seq would wait for; leave one out")]
    OrderOfLatest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    version: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    filter: Option<String>,
    #[serde(default)]
    group: Vec<String>,
    #[serde(default)]
    metric: Vec<String>,
    from: String,
    #[serde(default)]
    mode: WireMode,
    #[serde(default)]
    order: WireOrder,
    #[serde(default)]
    gaps: bool,
    #[serde(default)]
    events: bool,
    #[serde(default)]
    rebase: bool,
    // These two came later: what an older node would do anyway is not asked.
    #[serde(default, skip_serializing_if = "is_default")]
    format: LineFormat,
    #[serde(default, skip_serializing_if = "is_default")]
    without_cursors: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WireMode {
    #[default]
    Durable,
    Latest,
}

#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WireOrder {
    #[default]
    Log,
    Seq,
}

/// The version alone, which every version has.
#[derive(Deserialize)]
struct AnyVersion {
    version: u16,
}

impl Question {
    /// The body of a request.
    ///
    /// # Panics
    /// Never: texts, numbers and lists have a JSON form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let body = Body {
            version: VERSION,
            filter: self.filter.as_ref().map(ToString::to_string),
            group: self.projection.groups.clone(),
            metric: self.projection.metrics.clone(),
            from: match &self.from {
                StartFrom::Now => "now".to_owned(),
                StartFrom::Latest => "latest".to_owned(),
                StartFrom::Oldest => "oldest".to_owned(),
                StartFrom::Time(time) => time.0.to_string(),
                StartFrom::Cursor(cursor) => cursor.to_string(),
            },
            mode: match self.mode {
                Mode::Durable => WireMode::Durable,
                Mode::Latest => WireMode::Latest,
            },
            order: if self.is_in_order {
                WireOrder::Seq
            } else {
                WireOrder::Log
            },
            gaps: self.include.gaps,
            events: self.include.events,
            rebase: self.rebase,
            format: self.format,
            without_cursors: !self.cursors,
        };
        serde_json::to_vec(&body).expect("texts, numbers and lists have a JSON form")
    }

    /// Reads a body.
    ///
    /// # Errors
    /// [`QuestionError`].
    pub fn decode(body: &[u8]) -> Result<Self, QuestionError> {
        let AnyVersion { version: found } = serde_json::from_slice(body)?;
        if found != VERSION {
            return Err(QuestionError::Version { found });
        }
        let body: Body = serde_json::from_slice(body)?;
        let count = body.group.len() + body.metric.len();
        if count > NAMES_MAX {
            return Err(QuestionError::TooManyNames { count });
        }
        let (is_in_order, mode) = (body.order == WireOrder::Seq, mode_of(&body.mode));
        if is_in_order && mode == Mode::Latest {
            return Err(QuestionError::OrderOfLatest);
        }
        Ok(Self {
            filter: body.filter.map(|text| text.parse()).transpose()?,
            projection: Projection {
                groups: body.group,
                metrics: body.metric,
            },
            from: start_of(&body.from)?,
            mode,
            include: Include {
                gaps: body.gaps,
                events: body.events,
            },
            is_in_order,
            rebase: body.rebase,
            format: body.format,
            cursors: !body.without_cursors,
        })
    }

    /// What is selected for an asker of this scope: never more than the scope allows.
    pub(super) fn selection(&self, scope: &SiteScope) -> Selection {
        let filter = match (scope_filter(scope), self.filter.clone()) {
            (Some(scope), Some(asked)) => Some(scope.and(asked)),
            (scope, asked) => scope.or(asked),
        };
        Selection::new(filter, self.projection.clone())
    }
}

/// `None`: every site.
fn scope_filter(scope: &SiteScope) -> Option<Filter> {
    let SiteScope::Sites(sites) = scope else {
        return None;
    };
    let vocabulary = Vocabulary::resource();
    let place = vocabulary
        .names()
        .iter()
        .position(|name| name == SITE_FIELD);
    let condition = Condition {
        field: Field::Plain(place.expect("resources have a site")),
        is_negated: false,
        test: Test::OneOf(sites.iter().cloned().collect()),
    };
    let expression = Expression::Condition(condition);
    Some(Filter::of_expression(expression, &vocabulary))
}

fn mode_of(mode: &WireMode) -> Mode {
    match mode {
        WireMode::Durable => Mode::Durable,
        WireMode::Latest => Mode::Latest,
    }
}

fn start_of(text: &str) -> Result<StartFrom, CursorTextError> {
    match text {
        "now" => Ok(StartFrom::Now),
        "latest" => Ok(StartFrom::Latest),
        "oldest" => Ok(StartFrom::Oldest),
        text => match text.parse() {
            Ok(time) => Ok(StartFrom::Time(WallMs(time))),
            Err(_) => Ok(StartFrom::Cursor(text.parse::<Cursor>()?)),
        },
    }
}

#[cfg(test)]
#[path = "question_tests.rs"]
mod tests;
