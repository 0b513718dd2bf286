//! Numbers with units, for people.

use std::time::Duration;

/// Microseconds, from one millisecond on milliseconds, from one second on seconds.
pub fn time(length: Duration) -> String {
    let micros = length.as_secs_f64() * 1e6;
    if micros < 1e3 {
        format!("{micros:.0} µs")
    } else if micros < 1e6 {
        let places = usize::from(micros % 1e3 != 0.0);
        format!("{:.places$} ms", micros / 1e3)
    } else {
        format!("{:.1} s", micros / 1e6)
    }
}

pub fn size(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.0} KiB", bytes as f64 / 1024.0),
        _ => {
            let places = usize::from(!bytes.is_multiple_of(1_048_576));
            format!("{:.places$} MiB", bytes as f64 / 1_048_576.0)
        }
    }
}

/// Thousands are set apart.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_fitting_units() {
        for (micros, expected) in
            [(0, "0 µs"), (42, "42 µs"), (5_000, "5 ms"), (1_234, "1.2 ms"), (2_500_000, "2.5 s")]
        {
            assert_eq!(time(Duration::from_micros(micros)), expected);
        }
        for (bytes, expected) in
            [(12, "12 B"), (65_536, "64 KiB"), (16 << 20, "16 MiB"), (1_153_434, "1.1 MiB")]
        {
            assert_eq!(size(bytes), expected);
        }
        for (number, expected) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")]
        {
            assert_eq!(count(number), expected);
        }
    }
}
