//! Runs the real program: with a canned daemon or none, with a small mirror, in a terminal, and as real pacman's
//! `XferCommand`.

#[cfg(test)]
mod daemon;
#[cfg(test)]
mod fallback;
#[cfg(test)]
mod hand_over;
#[cfg(test)]
mod learning;
#[cfg(test)]
mod mirror;
#[cfg(test)]
mod pacman;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod terminal;
