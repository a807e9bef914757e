//! Digits as pixels: the numbers that stand above tiles.

/// Number of pixels across a digit.
const WIDTH: usize = 3;
/// Number of pixels down a digit.
pub const HEIGHT: usize = 5;

/// Rows of pixels of each digit, from the top; the highest of three bits is the left pixel.
const DIGITS: [[u8; HEIGHT]; 10] = [
    [0b111, 0b101, 0b101, 0b101, 0b111],
    [0b010, 0b110, 0b010, 0b010, 0b111],
    [0b111, 0b001, 0b111, 0b100, 0b111],
    [0b111, 0b001, 0b111, 0b001, 0b111],
    [0b101, 0b101, 0b111, 0b001, 0b001],
    [0b111, 0b100, 0b111, 0b001, 0b111],
    [0b111, 0b100, 0b111, 0b101, 0b111],
    [0b111, 0b001, 0b001, 0b001, 0b001],
    [0b111, 0b101, 0b111, 0b101, 0b111],
    [0b111, 0b101, 0b111, 0b001, 0b111],
];

/// Returns the number of pixels across a number, with one between digits.
pub fn across(number: usize) -> usize {
    let digits = number.checked_ilog10().unwrap_or(0) as usize + 1;
    digits * (WIDTH + 1) - 1
}

/// Returns the inked pixels of a number: their places across and down.
pub fn pixels(number: usize) -> Vec<(usize, usize)> {
    let digits = number.to_string().into_bytes();
    let digits = digits.into_iter().map(|digit| DIGITS[usize::from(digit - b'0')]).enumerate();
    let of_digit = |(at, rows): (usize, [u8; HEIGHT])| {
        (0..HEIGHT).flat_map(move |y| {
            let inked = (0..WIDTH).filter(move |x| rows[y] >> (WIDTH - 1 - x) & 1 == 1);
            inked.map(move |x| (at * (WIDTH + 1) + x, y))
        })
    };
    digits.flat_map(of_digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if two digits look alike, or a number is wider than it says.
    #[test]
    fn digits_differ_and_numbers_keep_their_width() {
        for one in 0..10 {
            for other in 0..one {
                assert_ne!(pixels(one), pixels(other), "{one} and {other}");
            }
        }
        for (number, width) in [(0, 3), (9, 3), (10, 7), (470, 11), (8191, 15)] {
            assert_eq!(across(number), width, "{number}");
            assert!(pixels(number).iter().all(|(x, y)| *x < width && *y < HEIGHT), "{number}");
            assert!(pixels(number).iter().any(|(x, _)| *x == width - 1), "{number}");
        }
    }
}
