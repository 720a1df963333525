//! Sizes of packages as a distribution has them: many small ones, few large ones.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// Half of the packages are smaller; as in Arch's repositories, roughly.
const MEDIAN: f64 = 200_000.0;
const SMALLEST: f64 = 2_000.0;

/// Names and sizes in bytes, log-normal; the same in every run. `spread` is the natural logarithm's standard deviation.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to small positive sizes")]
pub(crate) fn log_normal(count: usize, spread: f64, largest: f64) -> impl Iterator<Item = (String, u64)> {
    let mut rng = SmallRng::seed_from_u64(1);
    (0..count).map(move |n| {
        // Box and Muller: two uniform numbers give a normal one.
        let (radius, angle): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
        let normal = (-2.0 * radius.ln()).sqrt() * (angle * std::f64::consts::TAU).cos();
        let bytes = (MEDIAN * (spread * normal).exp()).clamp(SMALLEST, largest);
        (format!("package-{n:03}"), bytes as u64)
    })
}
