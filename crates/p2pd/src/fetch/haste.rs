//! Whether somebody waits for a fetch.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// A fetch for which nobody waits spares mirrors; once somebody does, it is as urgent as any other, and stays so.
#[derive(Debug, Clone)]
pub(crate) struct Haste {
    waited_for: CancellationToken,
    leisure: Duration,
}

impl Haste {
    /// Somebody waits.
    pub(super) fn urgent() -> Self {
        let haste = Self::leisurely(Duration::ZERO);
        haste.hurry();
        haste
    }

    /// Nobody waits; peers get this time before a mirror is asked.
    pub(super) fn leisurely(leisure: Duration) -> Self {
        Self { waited_for: CancellationToken::new(), leisure }
    }

    /// Somebody waits from now on.
    pub(super) fn hurry(&self) {
        self.waited_for.cancel();
    }

    pub(super) fn is_urgent(&self) -> bool {
        self.waited_for.is_cancelled()
    }

    /// What peers get before a mirror is asked, while nobody waits.
    pub(super) fn leisure(&self) -> Duration {
        self.leisure
    }

    /// Returns when somebody waits.
    pub(super) async fn urged(&self) {
        self.waited_for.cancelled().await;
    }
}
