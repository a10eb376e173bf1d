//! What all resources of one device key share on their arbiter: load budget and credential.
//!
//! Does: hold one budget and one credential choice a device, hand them to its resources, forget
//! devices without resources. Does not: send. In: device keys. Out: [`Device`], shared by `Rc`.
//! Invariant: resources of one device key live on one arbiter, so nothing here crosses threads.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use ocelli_config::DeviceSettings;
use ocelli_model::clock::Monotonic;
use ocelli_model::resource::DeviceKey;
use ocelli_snmp::engine::{DeviceBudget, LoadLimit};
use std::collections::HashMap;

use crate::credential_choice::{Answer, CredentialChoice};
use crate::plan::ResourcePlan;

/// One device.
pub(crate) struct Device {
    /// In flight and packets/s over all plugins.
    pub(crate) budget: DeviceBudget,
    choice: RefCell<Choice>,
}

/// A choice and the names that it is among; other names (a reload) begin another choice.
struct Choice {
    names: Vec<String>,
    choice: CredentialChoice,
}

impl Device {
    /// Position among the plan's credentials to use now.
    pub(crate) fn credential(&self, plan: &ResourcePlan) -> Option<usize> {
        let mut choice = self.choice.borrow_mut();
        let is_same = choice.names.iter().map(String::as_str).eq(names(plan));
        if !is_same {
            let winner = choice
                .choice
                .winner()
                .and_then(|winner| choice.names.get(winner));
            let remembered = winner.and_then(|winner| names(plan).position(|name| name == winner));
            *choice = Choice::new(plan, remembered);
        }
        choice.choice.current()
    }

    /// Holds the load that `settings` allow from now on; of several resources the last one counts.
    pub(crate) fn limit_load(&self, settings: &DeviceSettings) {
        self.budget.set_limit(load_limit(settings));
    }

    /// Takes in how a run ended; whether another credential is to be used from now on.
    pub(crate) fn note(&self, used: usize, answer: Answer, now: Monotonic) -> bool {
        self.choice.borrow_mut().choice.note(used, answer, now)
    }

    /// Name of the credential that was answered last.
    pub(crate) fn winner(&self) -> Option<String> {
        let choice = self.choice.borrow();
        choice
            .choice
            .winner()
            .and_then(|winner| choice.names.get(winner).cloned())
    }
}

impl Choice {
    fn new(plan: &ResourcePlan, remembered: Option<usize>) -> Self {
        let choice = CredentialChoice::new(plan.credentials.len(), remembered);
        Self {
            names: names(plan).map(str::to_owned).collect(),
            choice,
        }
    }
}

fn names(plan: &ResourcePlan) -> impl Iterator<Item = &str> {
    plan.credentials.iter().map(|credential| &*credential.name)
}

/// The devices of one arbiter.
#[derive(Default)]
pub(crate) struct Devices {
    known: HashMap<DeviceKey, Weak<Device>>,
    /// Grows with `known`; dead ones are swept when it doubles.
    sweep_at: usize,
}

/// Below this many devices no sweep is worth its time.
const SWEEP_MIN: usize = 1_024;

impl Devices {
    /// The device of `plan`; the settings of its first resource shape the budget.
    pub(crate) fn of(&mut self, plan: &ResourcePlan, remembered: Option<&str>) -> Rc<Device> {
        if let Some(device) = self.known.get(&plan.device).and_then(Weak::upgrade) {
            return device;
        }
        if self.known.len() >= self.sweep_at.max(SWEEP_MIN) {
            self.known.retain(|_, device| device.strong_count() > 0);
            self.sweep_at = self.known.len() * 2;
        }
        let remembered = remembered.and_then(|winner| names(plan).position(|name| name == winner));
        let device = Rc::new(Device {
            budget: DeviceBudget::new(load_limit(&plan.settings)),
            choice: RefCell::new(Choice::new(plan, remembered)),
        });
        self.known
            .insert(plan.device.clone(), Rc::downgrade(&device));
        device
    }
}

fn load_limit(settings: &DeviceSettings) -> LoadLimit {
    let per_second = settings.snmp.packets_per_second.get();
    LoadLimit {
        in_flight: u8::try_from(settings.snmp.in_flight.get()).unwrap_or(u8::MAX),
        packets_per_second: std::num::NonZeroU32::new(per_second),
    }
}
