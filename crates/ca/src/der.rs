//! Values as DER (X.690): only what certificates are made of. Lengths and integers in their shortest form, times as
//! RFC 5280 wants them.

use crate::UnixSeconds;

pub(crate) const BOOLEAN_TRUE: &[u8] = &[0x01, 0x01, 0xff];
pub(crate) const NULL: &[u8] = &[0x05, 0x00];
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const SET: u8 = 0x31;

/// A value: tag, length, content.
pub(crate) fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 6);
    out.push(tag);
    let length = content.len().to_be_bytes();
    let first = length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1);
    let length = &length[first..];
    if content.len() >= 0x80 {
        out.push(0x80 | length.len() as u8);
    }
    out.extend_from_slice(length);
    out.extend_from_slice(content);
    out
}

/// Values one after the other in a sequence.
pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    value(0x30, &parts.concat())
}

/// Explicitly tagged, as optional members are.
pub(crate) fn tagged(number: u8, content: &[u8]) -> Vec<u8> {
    value(0xa0 | number, content)
}

/// A number that is not negative, from its big-endian bytes.
pub(crate) fn integer(bytes: &[u8]) -> Vec<u8> {
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let digits = &bytes[first..];
    let mut content = Vec::with_capacity(digits.len() + 1);
    if digits.first().is_none_or(|byte| *byte & 0x80 != 0) {
        content.push(0);
    }
    content.extend_from_slice(digits);
    value(0x02, &content)
}

/// A string of whole bytes.
pub(crate) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(bytes.len() + 1);
    content.push(0);
    content.extend_from_slice(bytes);
    value(0x03, &content)
}

/// Named bits, the first in the highest position, without zeros at the end.
pub(crate) fn named_bits(bits: u8) -> Vec<u8> {
    if bits == 0 { value(0x03, &[0]) } else { value(0x03, &[bits.trailing_zeros() as u8, bits]) }
}

/// A moment: two digits for the year until 2049, four from then on.
pub(crate) fn time(moment: UnixSeconds) -> Vec<u8> {
    // 9999-12-31T23:59:59Z stands for "never" (RFC 5280, 4.1.2.5).
    let moment = moment.clamp(-631_152_000, 253_402_300_799);
    let (days, of_day) = (moment.div_euclid(86_400), moment.rem_euclid(86_400));
    // Counted from 1 March of the year 0: leap days come last, so months have a plain rhythm.
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    if (1950..2050).contains(&year) {
        value(0x17, format!("{:02}{rest}", year % 100).as_bytes())
    } else {
        value(0x18, format!("{year:04}{rest}").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_numbers_take_their_shortest_form() {
        assert_eq!(value(OCTET_STRING, &[7; 3]), [4, 3, 7, 7, 7]);
        assert_eq!(value(OCTET_STRING, &[0; 0x80])[..3], [4, 0x81, 0x80]);
        assert_eq!(value(OCTET_STRING, &[0; 0x1234])[..4], [4, 0x82, 0x12, 0x34]);
        assert_eq!(integer(&[0, 0, 1]), [2, 1, 1]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[]), [2, 1, 0]);
        assert_eq!(named_bits(0b1010_0000), [3, 2, 5, 0b1010_0000]);
    }

    #[test]
    fn years_change_their_form_in_2050() {
        assert_eq!(time(951_782_400), [&[0x17, 13][..], b"000229000000Z"].concat());
        assert_eq!(time(2_524_607_999), [&[0x17, 13][..], b"491231235959Z"].concat());
        assert_eq!(time(2_524_608_000), [&[0x18, 15][..], b"20500101000000Z"].concat());
        assert_eq!(time(i64::MAX), [&[0x18, 15][..], b"99991231235959Z"].concat());
    }
}
