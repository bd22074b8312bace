//! How far a measured share may lie from the configured one by chance alone, so that a check of a weighted split
//! fails on a wrong weight and practically never on a right one.

use std::ops::RangeInclusive;

/// The chance that [`binomial_bounds`] leaves to a correct system to lie outside, over both ends.
const CHANCE_OUTSIDE: f64 = 1e-6;

/// How many of `n` trials of probability `p` succeed, but for one case in a million.
pub fn binomial_bounds(n: u32, p: f64) -> RangeInclusive<u32> {
    if p <= 0.0 {
        return 0..=0;
    }
    if p >= 1.0 {
        return n..=n;
    }
    let density = densities(n, p);
    let tail = CHANCE_OUTSIDE / 2.0;
    let low = steps_within(density.iter(), tail);
    let high = n - steps_within(density.iter().rev(), tail).min(n);
    low..=high
}

/// The probability of each number of successes, from 0 to n; logarithms keep the extremes from vanishing.
fn densities(n: u32, p: f64) -> Vec<f64> {
    let odds = p.ln() - (1.0 - p).ln();
    let mut logarithm = f64::from(n) * (1.0 - p).ln();
    let mut densities = Vec::with_capacity(n as usize + 1);
    for successes in 0..=n {
        densities.push(logarithm.exp());
        logarithm += odds + f64::from(n - successes).ln() - f64::from(successes + 1).ln();
    }
    densities
}

/// How many values can be left out at one end before their sum passes the tail.
fn steps_within<'a>(densities: impl Iterator<Item = &'a f64>, tail: f64) -> u32 {
    let mut sum = 0.0;
    let mut steps = 0;
    for density in densities {
        sum += density;
        if sum > tail {
            break;
        }
        steps += 1;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_a_fair_coin_are_symmetric() {
        let bounds = binomial_bounds(1000, 0.5);
        assert_eq!(1000 - bounds.end(), *bounds.start());
        // About 4.9 standard deviations of 15.8 on each side.
        assert!((420..430).contains(bounds.start()), "{bounds:?}");
    }

    #[test]
    fn bounds_of_a_tenth_tell_a_tenth_from_a_quarter() {
        let bounds = binomial_bounds(500, 0.1);
        assert!(bounds.contains(&50) && bounds.contains(&40));
        assert!(!bounds.contains(&125) && !bounds.contains(&0));
    }

    #[test]
    fn certain_outcomes_leave_no_room() {
        assert_eq!(binomial_bounds(50, 0.0), 0..=0);
        assert_eq!(binomial_bounds(50, 1.0), 50..=50);
        assert_eq!(binomial_bounds(1, 0.5), 0..=1);
    }
}
