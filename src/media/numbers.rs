//! Numbers as people say them: `2`, `two`, `twenty five`, `one hundred and fifty`, `one point five`, `two and a half`,
//! `half a percent`, `minus eighty`. Reads; knows no unit.

const UNITS: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// What a word adds to a number that is being said.
#[derive(Clone, Copy)]
enum Part {
    Unit(u32),
    Ten(u32),
    Hundred,
    Thousand,
}

fn part(word: &str) -> Option<Part> {
    let at = |list: &[&str]| list.iter().position(|known| *known == word).and_then(|k| u32::try_from(k).ok());
    match word {
        "hundred" => Some(Part::Hundred),
        "thousand" => Some(Part::Thousand),
        _ => at(&UNITS).map(Part::Unit).or_else(|| at(&TENS).map(|k| Part::Ten(10 * (k + 2)))),
    }
}

/// The number that these words begin with, and how many of them it takes. Words are lower case, without `a` and `an`.
pub(crate) fn read(words: &[&str]) -> Option<(f64, usize)> {
    let at = |k: usize| words.get(k).copied().unwrap_or_default();
    if matches!(at(0), "minus" | "negative") {
        let (value, taken) = positive(&words[1..])?;
        return Some((-value, taken + 1));
    }
    positive(words)
}

fn positive(words: &[&str]) -> Option<(f64, usize)> {
    let at = |k: usize| words.get(k).copied().unwrap_or_default();
    let (mut value, mut taken) = if at(0) == "half" {
        return Some((0.5, 1));
    } else if at(0) == "point" {
        (0.0, 0)
    } else if at(0).starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        let digits = at(0).parse::<f64>().ok().filter(|value| value.is_finite())?;
        match at(1) {
            "hundred" => (digits * 100.0, 2),
            "thousand" => (digits * 1000.0, 2),
            _ => (digits, 1),
        }
    } else {
        spoken(words)?
    };
    if at(taken) == "point" {
        let decimals: String = words[taken + 1..].iter().map_while(|word| decimal(word)).collect();
        if !decimals.is_empty() {
            let said = words[taken + 1..].iter().take_while(|word| decimal(word).is_some()).count();
            value += format!("0.{decimals}").parse::<f64>().ok()?;
            taken += said + 1;
        } else if taken == 0 {
            return None;
        }
    } else if at(taken) == "and" && at(taken + 1) == "half" {
        value += 0.5;
        taken += 2;
    }
    Some((value, taken))
}

/// A digit after the point.
fn decimal(word: &str) -> Option<String> {
    match part(word) {
        Some(Part::Unit(digit @ 0..=9)) => Some(digit.to_string()),
        _ => (!word.is_empty() && word.bytes().all(|b| b.is_ascii_digit())).then(|| word.to_owned()),
    }
}

/// A whole number in words.
fn spoken(words: &[&str]) -> Option<(f64, usize)> {
    let (mut whole, mut current, mut taken, mut any) = (0_u32, 0_u32, 0, false);
    while let Some(word) = words.get(taken) {
        // `one hundred and fifty`, but not `two and three`.
        let joins = *word == "and" && current >= 100 && current.is_multiple_of(100);
        let next = if joins { words.get(taken + 1).and_then(|word| part(word)) } else { part(word) };
        let joined = taken + usize::from(joins) + 1;
        match next {
            Some(Part::Unit(unit)) if !any || (current % 10 == 0 && (unit < 10 || current % 100 == 0) && unit > 0) => {
                // `twenty ten` is two numbers, `hundred twelve` one.
                if any && current % 100 == 10 {
                    break;
                }
                current += unit;
            }
            Some(Part::Ten(ten))
                if !any || (current > 0 && current.is_multiple_of(100)) || (whole > 0 && current == 0) =>
            {
                current += ten;
            }
            Some(Part::Hundred) if !joins && current < 100 => current = current.max(1) * 100,
            Some(Part::Thousand) if !joins && whole == 0 && current < 1_000 => {
                whole = current.max(1) * 1_000;
                current = 0;
            }
            _ => break,
        }
        any = true;
        taken = joined;
    }
    any.then(|| (f64::from(whole + current), taken))
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn numbers_are_read_as_they_are_said() {
        for (said, value, taken) in [
            ("2", 2.0, 1),
            ("2.5 percent", 2.5, 1),
            ("-80", -80.0, 1),
            ("two percent", 2.0, 1),
            ("zero", 0.0, 1),
            ("twenty five", 25.0, 2),
            ("nineteen", 19.0, 1),
            ("fifty two hundred", 5_200.0, 3),
            ("two hundred", 200.0, 2),
            ("hundred", 100.0, 1),
            ("one hundred and fifty ema", 150.0, 4),
            ("one hundred twelve", 112.0, 3),
            ("one thousand two hundred", 1_200.0, 4),
            ("3 hundred", 300.0, 2),
            ("one point five", 1.5, 3),
            ("one point two five percent", 1.25, 4),
            ("1 point 5", 1.5, 3),
            ("point five", 0.5, 2),
            ("two and half", 2.5, 3),
            ("half percent", 0.5, 1),
            ("minus eighty", -80.0, 2),
            // Two numbers beside each other are two.
            ("twelve twenty six", 12.0, 1),
            ("fifty and two", 50.0, 1),
            ("two three", 2.0, 1),
            ("twenty ten", 20.0, 1),
            ("two point", 2.0, 1),
        ] {
            let words: Vec<&str> = said.split(' ').collect();
            assert_eq!(read(&words), Some((value, taken)), "{said}");
        }
        for said in ["", "and", "point", "stop", "percent", "minus", "point stop", "1e999"] {
            let words: Vec<&str> = said.split(' ').collect();
            assert_eq!(read(&words), None, "{said}");
        }
    }
}
