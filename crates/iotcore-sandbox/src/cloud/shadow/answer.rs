//! Pure: the JSON that the shadow service publishes.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::delta;
use super::document::{Document, stamped};
use super::limits::FirstPrevious;
use super::payload;
use super::rejection::ShadowRejection;

/// The members that every answer has.
#[derive(Clone, Debug)]
pub(super) struct AnswerContext {
    /// Seconds since the epoch.
    pub timestamp: u64,
    /// The client token of the request.
    pub token: Option<String>,
}

/// The rejection of what is not JSON: there is no client token to repeat, and AWS may leave out the timestamp as well.
pub(super) fn of_unreadable(rejection: &ShadowRejection) -> Value {
    json!({ "code": rejection.code, "message": rejection.message })
}

impl AnswerContext {
    /// For this request, at this time of the cloud.
    pub(super) fn of(request: &Value, at: Duration) -> AnswerContext {
        AnswerContext {
            timestamp: at.as_secs(),
            token: payload::token(request),
        }
    }

    /// `get/accepted`.
    pub(super) fn document(&self, document: &Document) -> Value {
        let (mut state, metadata) = document.sections();
        let delta = delta::between(&document.desired, &document.reported).state;
        if !delta.is_empty() {
            state.insert("delta".to_owned(), delta.into());
        }
        self.with_context(
            json!({ "state": state, "metadata": metadata, "version": document.version }),
        )
    }

    /// `update/accepted`: repeats the sections of the request.
    pub(super) fn accepted(&self, request: &Value, version: u64) -> Value {
        let state = request.get("state").cloned().unwrap_or_default();
        let sections = state.as_object().into_iter().flatten();
        let metadata: Map<String, Value> = sections
            .filter(|(_, section)| section.is_object())
            .map(|(name, section)| (name.clone(), stamped(section, self.timestamp)))
            .collect();
        self.with_context(json!({ "state": state, "metadata": metadata, "version": version }))
    }

    /// `update/delta`, unless nothing is outstanding.
    pub(super) fn delta(&self, document: &Document) -> Option<Value> {
        let delta = delta::between(&document.desired, &document.reported);
        let outstanding = !delta.state.is_empty();
        outstanding.then(|| {
            self.with_context(json!({
                "state": delta.state, "metadata": delta.metadata, "version": document.version
            }))
        })
    }

    /// `update/documents`.
    pub(super) fn documents(
        &self,
        before: Option<&Document>,
        after: &Document,
        first: FirstPrevious,
    ) -> Value {
        let snapshot = |document: &Document| {
            let (state, metadata) = document.sections();
            json!({ "state": state, "metadata": metadata, "version": document.version })
        };
        let mut documents = json!({ "current": snapshot(after) });
        match (before, first) {
            (Some(before), _) => documents["previous"] = snapshot(before),
            (None, FirstPrevious::Absent) => {}
            (None, FirstPrevious::Empty) => documents["previous"] = json!({}),
            (None, FirstPrevious::Null) => documents["previous"] = Value::Null,
        }
        self.with_context(documents)
    }

    /// `delete/accepted`.
    pub(super) fn deleted(&self, version: u64) -> Value {
        self.with_context(json!({ "version": version }))
    }

    /// `*/rejected`.
    pub(super) fn rejected(&self, rejection: &ShadowRejection) -> Value {
        self.with_context(json!({ "code": rejection.code, "message": rejection.message }))
    }

    fn with_context(&self, mut answer: Value) -> Value {
        answer["timestamp"] = self.timestamp.into();
        if let Some(token) = &self.token {
            answer["clientToken"] = token.as_str().into();
        }
        answer
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
