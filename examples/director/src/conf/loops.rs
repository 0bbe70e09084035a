//! `~SEQ`, `~SEQx` and `~LST`: a line read once for each value.

use std::ops::Range;

use super::definitions::is_name;

/// A loop at the start of a line: `~SEQ(…)`, `~SEQx(…)` or `~LST(…)`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LoopHead {
    pub(super) kind: LoopKind,
    /// What is between the parentheses.
    pub(super) arguments: Range<usize>,
    /// Where the rest of the line starts.
    pub(super) rest: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoopKind {
    Decimal,
    Hexadecimal,
    List,
}

/// A loop whose `(` is not closed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unclosed;

/// The loop that `text` starts with; `Err` if it starts like one and is not closed.
pub(super) fn loop_head(text: &str) -> Option<Result<LoopHead, Unclosed>> {
    let (kind, open) = [
        ("~SEQ(", LoopKind::Decimal),
        ("~SEQx(", LoopKind::Hexadecimal),
        ("~LST(", LoopKind::List),
    ]
    .into_iter()
    .find_map(|(prefix, kind)| text.starts_with(prefix).then_some((kind, prefix.len())))?;
    let Some(len) = text.get(open..).and_then(|rest| rest.find(')')) else {
        return Some(Err(Unclosed));
    };
    Some(Ok(LoopHead {
        kind,
        arguments: open..open + len,
        rest: open + len + 1,
    }))
}

/// The turns of a loop: the variables, and their values turn by turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loop {
    pub(super) variables: Vec<String>,
    turns: Turns,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Turns {
    Numbers {
        next: i64,
        step: i64,
        end: i64,
        hexadecimal: bool,
    },
    /// What is left of the list, last first.
    Values(Vec<Vec<String>>),
}

impl Loop {
    /// Reads the arguments of a loop; the error says what is wrong with them.
    pub(super) fn parse(kind: LoopKind, arguments: &str) -> Result<Self, String> {
        match kind {
            LoopKind::List => Self::parse_list(arguments),
            LoopKind::Decimal => Self::parse_sequence(arguments, false),
            LoopKind::Hexadecimal => Self::parse_sequence(arguments, true),
        }
    }

    fn parse_sequence(arguments: &str, hexadecimal: bool) -> Result<Self, String> {
        let mut parts = arguments.split(',').map(str::trim);
        let variable = variable(parts.next().unwrap_or(""))?;
        let numbers = parts.map(sequence_number).collect::<Result<Vec<_>, _>>()?;
        let (start, step, end) = match *numbers.as_slice() {
            [end] if end > 0 => (1, 1, end),
            [end] if end < 0 => (-1, -1, end),
            [start, end] if start <= end => (start, 1, end),
            [start, end] => (start, -1, end),
            [start, step, end] => (start, step, end),
            _ => return Err("expected ~SEQ(NAME, [START, [STEP,]] END)".to_owned()),
        };
        if step == 0 || (step > 0 && start > end) || (step < 0 && start < end) {
            return Err(format!("steps of {step} never lead from {start} to {end}"));
        }
        Ok(Self {
            variables: vec![variable],
            turns: Turns::Numbers {
                next: start,
                step,
                end,
                hexadecimal,
            },
        })
    }

    fn parse_list(arguments: &str) -> Result<Self, String> {
        let mut groups = list_groups(arguments)?.into_iter();
        let variables = groups
            .next()
            .unwrap_or_default()
            .iter()
            .map(|name| variable(name))
            .collect::<Result<Vec<_>, _>>()?;
        let mut turns: Vec<_> = groups.collect();
        if turns.is_empty() {
            return Err("expected ~LST(NAME, VALUE, ...)".to_owned());
        }
        if let Some(turn) = turns.iter().find(|turn| turn.len() != variables.len()) {
            return Err(format!(
                "{} variables, but {} values in {{{}}}",
                variables.len(),
                turn.len(),
                turn.join(",")
            ));
        }
        turns.reverse();
        Ok(Self {
            variables,
            turns: Turns::Values(turns),
        })
    }

    /// The values of the next turn, one for each variable; `None` when the loop is over.
    pub(super) fn next_turn(&mut self) -> Option<Vec<String>> {
        match &mut self.turns {
            Turns::Values(values) => values.pop(),
            Turns::Numbers {
                next,
                step,
                end,
                hexadecimal,
            } => {
                let over = if *step > 0 {
                    *next > *end
                } else {
                    *next < *end
                };
                if over {
                    return None;
                }
                let value = *next;
                // Beyond the last possible number the loop is over whatever its end is.
                *next = next.checked_add(*step)?;
                Some(vec![if *hexadecimal {
                    format!("{value:x}")
                } else {
                    value.to_string()
                }])
            }
        }
    }
}

fn variable(name: &str) -> Result<String, String> {
    if is_name(name) {
        Ok(name.to_owned())
    } else {
        Err(format!(
            "`{name}` is not a name: expected letters, digits and `_`"
        ))
    }
}

fn sequence_number(text: &str) -> Result<i64, String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let number = match digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        Some(digits) => i32::from_str_radix(digits, 16),
        None if digits.starts_with(['+', '-']) => "".parse(),
        None => digits.parse(),
    };
    number
        .map(|number| sign * i64::from(number))
        .map_err(|_| format!("`{text}` is not a whole number"))
}

/// Splits `a, {b, c}, d` into `[[a], [b, c], [d]]`.
fn list_groups(arguments: &str) -> Result<Vec<Vec<String>>, String> {
    let mut groups = Vec::new();
    let mut rest = arguments.trim();
    while !rest.is_empty() {
        let (group, after) = match rest.strip_prefix('{') {
            Some(inside) => {
                let (group, after) = inside
                    .split_once('}')
                    .ok_or_else(|| "a `{` is not closed".to_owned())?;
                let after = after.trim_start();
                if !after.is_empty() && !after.starts_with(',') {
                    return Err(format!("expected `,` before `{after}`"));
                }
                let group = group.split(',').map(|part| part.trim().to_owned());
                (group.collect(), after.strip_prefix(',').unwrap_or(after))
            }
            None => {
                let (value, after) = rest.split_once(',').unwrap_or((rest, ""));
                (vec![value.trim().to_owned()], after)
            }
        };
        groups.push(group);
        rest = after.trim_start();
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(line: &str) -> Result<Vec<String>, String> {
        let head = loop_head(line).unwrap().unwrap();
        let mut turns = Loop::parse(head.kind, &line[head.arguments])?;
        Ok(std::iter::from_fn(|| turns.next_turn())
            .take(100)
            .map(|values| values.join("/"))
            .collect())
    }

    #[test]
    fn sequences_have_defaults_for_start_and_step() {
        assert_eq!(turns("~SEQ(A,3) x").unwrap(), ["1", "2", "3"]);
        assert_eq!(turns("~SEQ(A,-2) x").unwrap(), ["-1", "-2"]);
        assert_eq!(turns("~SEQ(A, 2, 0) x").unwrap(), ["2", "1", "0"]);
        assert_eq!(turns("~SEQ( A , 0 , 5 , 12 )").unwrap(), ["0", "5", "10"]);
        assert_eq!(turns("~SEQ(A,3,-1,1)").unwrap(), ["3", "2", "1"]);
        assert_eq!(turns("~SEQ(A,1,1)").unwrap(), ["1"]);
        assert_eq!(turns("~SEQx(A,0x9,1,0xb)").unwrap(), ["9", "a", "b"]);
        assert_eq!(
            turns("~SEQx(A,144,16,192)").unwrap(),
            ["90", "a0", "b0", "c0"]
        );
    }

    #[test]
    fn sequences_that_never_end_are_refused() {
        assert!(turns("~SEQ(A,1,0,3)").unwrap_err().contains("never"));
        assert!(turns("~SEQ(A,1,-1,3)").unwrap_err().contains("never"));
        assert!(turns("~SEQ(A,0)").is_err());
        assert!(turns("~SEQ(A)").is_err());
        assert!(turns("~SEQ(A,1,2,3,4)").is_err());
        assert!(turns("~SEQ(1A,1)").unwrap_err().contains("name"));
        assert!(turns("~SEQ(A,x)").unwrap_err().contains("whole number"));
        assert!(turns("~SEQ(A,--1)").is_err());
        assert!(turns("~SEQ(A,99999999999)").is_err());
    }

    #[test]
    fn lists_set_one_variable_or_several_at_once() {
        assert_eq!(turns("~LST(A, 1,  b ,3) x").unwrap(), ["1", "b", "3"]);
        assert_eq!(
            turns("~LST({A, B}, {1, 2} ,{3,4})").unwrap(),
            ["1/2", "3/4"]
        );
        assert!(
            turns("~LST({A,B}, {1,2,3})")
                .unwrap_err()
                .contains("3 values")
        );
        assert!(turns("~LST({A,B}, 1)").is_err());
        assert!(turns("~LST(A)").is_err());
        assert!(turns("~LST({A, 1)").unwrap_err().contains("not closed"));
        assert!(turns("~LST({A} 1)").is_err());
        assert!(turns("~LST()").is_err());
    }

    #[test]
    fn a_loop_stands_at_the_start_and_is_closed() {
        assert_eq!(loop_head("x ~SEQ(A,1)"), None);
        assert_eq!(loop_head("~SEQ (A,1)"), None);
        assert_eq!(loop_head("~SEQ(A,1"), Some(Err(Unclosed)));
        let head = loop_head("~LST(A,1) b").unwrap().unwrap();
        assert_eq!(
            (head.kind, head.arguments, head.rest),
            (LoopKind::List, 5..8, 9)
        );
    }
}
