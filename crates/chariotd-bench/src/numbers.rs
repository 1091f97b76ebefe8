//! Pure: what is made of many measured values, and how numbers are written.

/// The value in the middle, that of one in a hundred, and the greatest.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    pub p50: f64,
    pub p99: f64,
    pub most: f64,
}

impl Spread {
    /// All zero without a value.
    pub fn of(mut values: Vec<f64>) -> Spread {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let last = values.len().saturating_sub(1);
            let place = (last as f64 * share).round() as usize;
            values.get(place).copied().unwrap_or(0.0)
        };
        Spread {
            p50: at(0.5),
            p99: at(0.99),
            most: at(1.0),
        }
    }
}

/// The value in the middle, 0 without a value.
pub fn median(values: Vec<f64>) -> f64 {
    Spread::of(values).p50
}

/// With as many digits as say something: three, and all of those before the point.
pub fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// How many times `base`, or a dash where there is nothing to compare with.
pub fn ratio(value: f64, base: f64) -> String {
    if base > 0.0 {
        format!("{:.2}", value / base)
    } else {
        "–".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_does_not_depend_on_the_order() {
        let values = (1..=101).rev().map(f64::from).collect();
        let spread = Spread::of(values);
        assert_eq!((spread.p50, spread.p99, spread.most), (51.0, 100.0, 101.0));
    }

    #[test]
    fn one_value_is_all_of_its_spread_and_none_is_zero() {
        let one = Spread::of(vec![3.0]);
        assert_eq!((one.p50, one.p99, one.most), (3.0, 3.0, 3.0));
        assert_eq!(Spread::of(Vec::new()), Spread::default());
    }

    #[test]
    fn one_outlier_does_not_move_the_median() {
        assert_eq!(median(vec![1.0, 900.0, 2.0]), 2.0);
    }

    #[test]
    fn a_number_has_three_digits_or_those_before_the_point() {
        let written = [11_234.5, 12.345, 1.2345, 0.12345, 0.0].map(short);
        assert_eq!(written, ["11234", "12.3", "1.23", "0.123", "0.000"]);
    }

    #[test]
    fn nothing_is_compared_with_zero() {
        assert_eq!(ratio(3.0, 2.0), "1.50");
        assert_eq!(ratio(3.0, 0.0), "–");
    }
}
