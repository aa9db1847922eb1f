//! Numbers as people read them: three digits that matter, thousands apart.

/// A measured number: `1,234`, `56.7`, `8.90`, `0.123`.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let size = value.abs();
    match size {
        100.0.. => grouped(value),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.3}"),
    }
}

/// A number along an axis, short: `500`, `2 k`, `10 M`.
pub(super) fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        1e9.. => (value / 1e9, " G"),
        1e6.. => (value / 1e6, " M"),
        1e3.. => (value / 1e3, " k"),
        _ => (value, ""),
    };
    // Ticks are round: nine decimals are more than any has.
    let text = format!("{scaled:.9}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}{unit}")
}

/// Whole, with commas between thousands.
fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 {
        format!("-{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_matter() {
        let pairs = [
            (1_234_567.8, "1,234,568"),
            (1_000.0, "1,000"),
            (999.6, "1,000"),
            (123.4, "123"),
            (56.78, "56.8"),
            (8.901, "8.90"),
            (0.12345, "0.123"),
            (0.0, "0"),
            (-4_321.0, "-4,321"),
            (f64::NAN, "–"),
        ];
        for (value, text) in pairs {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn ticks_are_short() {
        let pairs = [
            (0.5, "0.5"),
            (500.0, "500"),
            (2_000.0, "2 k"),
            (1e7, "10 M"),
            (0.0, "0"),
        ];
        for (value, text) in pairs {
            assert_eq!(short(value), text);
        }
    }
}
