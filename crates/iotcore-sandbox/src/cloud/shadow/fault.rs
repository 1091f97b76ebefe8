//! Pure: the fault script of the shadow service. It is asked at each stage of a request and answers what goes wrong.

use std::time::Duration;

use super::name::{ShadowName, ShadowOperation};

/// Something that goes wrong with requests to shadows. At each stage of a request the first matching fault fires;
/// so a request that the script rejects may be answered late as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowFault {
    pub what: ShadowTrouble,
    /// Which requests; `None` for all of them.
    pub operation: Option<ShadowOperation>,
    /// How often it fires; `None` for always.
    pub times: Option<u32>,
}

/// What goes wrong. Only [`Shuffle`](ShadowTrouble::Shuffle) and [`StaleDelta`](ShadowTrouble::StaleDelta) apply
/// to the updates of operators too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShadowTrouble {
    /// The request is not carried out, but rejected with this code, in AWS's words for it.
    Reject(u16),
    /// The request is neither carried out nor answered. It stays in flight.
    Ignore,
    /// The request is carried out and never answered; its `delta` and `documents` are published. It stays in flight.
    Withhold,
    /// The answer is published this much later, on this machine's clock; `delta` and `documents` are not. Until then the
    /// request is in flight.
    Delay(Duration),
    /// The request is carried out, and its answer is garbled like this.
    Garble(Garbage),
    /// The publications of one update come in random order, each possibly twice. The same seed gives the same order for
    /// the same version.
    Shuffle(u64),
    /// An earlier delta of the same shadow is published again with the publications of an update. The seed chooses which
    /// one. Fires only when there is an earlier delta.
    StaleDelta(u64),
}

/// How an answer is garbled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Garbage {
    /// The first half of the answer: not JSON.
    NotJson,
    /// Nothing but the client token.
    MembersMissing,
    /// Members of types that AWS never uses.
    WrongTypes,
    /// The right answer with another client token.
    OtherToken,
    /// The right answer without a client token.
    NoToken,
}

impl ShadowFault {
    /// Fires each time.
    pub fn always(what: ShadowTrouble) -> ShadowFault {
        ShadowFault {
            what,
            operation: None,
            times: None,
        }
    }

    /// Fires the first time only.
    pub fn once(what: ShadowTrouble) -> ShadowFault {
        ShadowFault::always(what).times(1)
    }

    /// Fires this many times.
    pub fn times(self, times: u32) -> ShadowFault {
        ShadowFault {
            times: Some(times),
            ..self
        }
    }

    /// Fires for these requests only.
    pub fn on(self, operation: ShadowOperation) -> ShadowFault {
        ShadowFault {
            operation: Some(operation),
            ..self
        }
    }
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShadowStage {
    /// It has arrived from a device.
    Arrived,
    /// Its answer to a device is about to be published.
    Answered,
    /// The publications of an update are about to be ordered.
    Ordered,
    /// An earlier delta may be added to them.
    Joined,
}

/// The faults that have not fired yet, each for one shadow or all.
#[derive(Default)]
pub(super) struct ShadowFaultScript(Vec<(Option<ShadowName>, ShadowFault)>);

impl ShadowFaultScript {
    pub(super) fn add(&mut self, name: Option<ShadowName>, fault: ShadowFault) {
        self.0.push((name, fault));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// What goes wrong now. A fault that has fired as often as it should is removed.
    pub(super) fn at(
        &mut self,
        stage: ShadowStage,
        name: &ShadowName,
        operation: ShadowOperation,
    ) -> Option<ShadowTrouble> {
        let fits = |(only, fault): &(Option<ShadowName>, ShadowFault)| {
            fault.what.stage() == stage
                && fault.times != Some(0)
                && only.as_ref().is_none_or(|only| only == name)
                && fault.operation.is_none_or(|only| only == operation)
        };
        let (_, fault) = self.0.iter_mut().find(|entry| fits(entry))?;
        let what = fault.what.clone();
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        self.0.retain(|(_, fault)| fault.times != Some(0));
        Some(what)
    }
}

impl ShadowTrouble {
    fn stage(&self) -> ShadowStage {
        match self {
            ShadowTrouble::Reject(_) | ShadowTrouble::Ignore => ShadowStage::Arrived,
            ShadowTrouble::Withhold | ShadowTrouble::Delay(_) | ShadowTrouble::Garble(_) => {
                ShadowStage::Answered
            }
            ShadowTrouble::Shuffle(_) => ShadowStage::Ordered,
            ShadowTrouble::StaleDelta(_) => ShadowStage::Joined,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(thing: &str) -> ShadowName {
        ShadowName::new(thing, None).expect("a name")
    }

    #[test]
    fn a_fault_fires_where_and_as_often_as_it_says() {
        let mut script = ShadowFaultScript::default();
        let reject = ShadowFault::always(ShadowTrouble::Reject(409)).times(2);
        script.add(Some(name("t")), reject.on(ShadowOperation::Update));
        let mut check = |stage, thing, operation, fires: bool| {
            let what = script.at(stage, &name(thing), operation);
            assert_eq!(what.is_some(), fires, "{stage:?} {thing} {operation:?}");
        };
        check(ShadowStage::Answered, "t", ShadowOperation::Update, false);
        check(ShadowStage::Arrived, "u", ShadowOperation::Update, false);
        check(ShadowStage::Arrived, "t", ShadowOperation::Get, false);
        check(ShadowStage::Arrived, "t", ShadowOperation::Update, true);
        check(ShadowStage::Arrived, "t", ShadowOperation::Update, true);
        check(ShadowStage::Arrived, "t", ShadowOperation::Update, false);
    }

    #[test]
    fn the_first_fault_that_fits_fires() {
        let mut script = ShadowFaultScript::default();
        script.add(None, ShadowFault::once(ShadowTrouble::Ignore));
        script.add(None, ShadowFault::always(ShadowTrouble::Reject(500)));
        let mut fires = || script.at(ShadowStage::Arrived, &name("t"), ShadowOperation::Get);
        assert_eq!(fires(), Some(ShadowTrouble::Ignore));
        assert_eq!(fires(), Some(ShadowTrouble::Reject(500)));
    }
}
