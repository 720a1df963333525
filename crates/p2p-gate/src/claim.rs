//! What a visitor may expect of us at the moment: whoever waits for his turn is idle through no fault of his own.

use std::sync::Arc;

use crate::meter::Meter;

/// What a visitor may expect of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Nothing: he wants nothing, or has let his turn pass.
    Nothing,
    /// His turn, for which he waits.
    Waiting,
    /// Data: it is his turn.
    Served,
    /// His place, for as long as he wants it: his host has few such, and is silent with them for long. He does not make room.
    Kept,
}

/// Where the visitor's host notes his claim. At first he has none.
///
/// When places are short, one who has a claim outlasts those that are idle by their own choice.
#[derive(Debug)]
pub struct Claims {
    meter: Arc<Meter>,
}

impl Claims {
    pub(crate) fn new(meter: Arc<Meter>) -> Self {
        Self { meter }
    }

    /// Notes the claim from now on. With [`Claim::Served`] the time begins in which he has to take something.
    pub fn note(&self, claim: Claim) {
        self.meter.handle_claim(claim);
    }
}
