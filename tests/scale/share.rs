//! How much of a whole a part is.

/// A count as a number to reckon with.
pub(crate) fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).expect("simulations count to some millions"))
}

/// `part` of `whole`, from 0 to 1.
pub(crate) fn share(part: usize, whole: usize) -> f64 {
    number(part) / number(whole)
}
