//! The arithmetic on shapes that exporters leave in a graph, carried out on the few numbers at hand.

use super::tensor::{DOUBLE, FLOAT, FLOAT16, INT32, INT64, Numbers, Values};

/// `Cast` of numbers.
pub(super) fn cast(numbers: &Numbers, to: i64) -> Option<Numbers> {
    let values = match (to, &numbers.values) {
        (INT32 | INT64, Values::Ints(values)) => Values::Ints(values.clone()),
        (INT32 | INT64, Values::Floats(values)) => {
            let whole = values.iter().map(|v| (v.abs() < 2f64.powi(53)).then_some(v.trunc() as i64));
            Values::Ints(whole.collect::<Option<_>>()?)
        }
        (FLOAT | FLOAT16 | DOUBLE, _) => Values::Floats(numbers.to_floats()),
        _ => return None,
    };
    Some(Numbers { is_scalar: numbers.is_scalar, values })
}

/// `Add`, `Sub`, `Mul`, `Div` of numbers, with a scalar or single number stretched to the other's length.
pub(super) fn binary(op_type: &str, left: &Numbers, right: &Numbers) -> Option<Numbers> {
    let length = match (left.len(), right.len()) {
        (a, b) if a == b => a,
        (1, b) => b,
        (a, 1) => a,
        _ => return None,
    };
    let pick = |len: usize, index: usize| if len == 1 { 0 } else { index };
    let values = match (&left.values, &right.values) {
        (Values::Ints(a), Values::Ints(b)) => {
            let value = |i| int_operation(op_type, a[pick(a.len(), i)], b[pick(b.len(), i)]);
            Values::Ints((0..length).map(value).collect::<Option<_>>()?)
        }
        (Values::Floats(a), Values::Floats(b)) => {
            let value = |i| float_operation(op_type, a[pick(a.len(), i)], b[pick(b.len(), i)]);
            Values::Floats((0..length).map(value).collect::<Option<_>>()?)
        }
        _ => return None,
    };
    Some(Numbers { is_scalar: left.is_scalar && right.is_scalar, values })
}

fn int_operation(op_type: &str, left: i64, right: i64) -> Option<i64> {
    match op_type {
        "Add" => left.checked_add(right),
        "Sub" => left.checked_sub(right),
        "Mul" => left.checked_mul(right),
        "Div" => left.checked_div(right),
        _ => None,
    }
}

fn float_operation(op_type: &str, left: f64, right: f64) -> Option<f64> {
    let value = match op_type {
        "Add" => left + right,
        "Sub" => left - right,
        "Mul" => left * right,
        "Div" => left / right,
        _ => return None,
    };
    value.is_finite().then_some(value)
}

/// `Floor` of numbers.
pub(super) fn floor(numbers: &Numbers) -> Numbers {
    let values = match &numbers.values {
        Values::Ints(values) => Values::Ints(values.clone()),
        Values::Floats(values) => Values::Floats(values.iter().map(|v| v.floor()).collect()),
    };
    Numbers { is_scalar: numbers.is_scalar, values }
}

/// `Gather` along axis 0: the numbers at `indices`, from the end where negative.
pub(super) fn gather(numbers: &Numbers, indices: &Numbers) -> Option<Numbers> {
    let at = indices
        .as_ints()?
        .iter()
        .map(|&index| from_end(index, numbers.len()).filter(|&index| index < numbers.len()))
        .collect::<Option<Vec<usize>>>()?;
    let values = match &numbers.values {
        Values::Ints(values) => Values::Ints(at.iter().map(|&index| values[index]).collect()),
        Values::Floats(values) => Values::Floats(at.iter().map(|&index| values[index]).collect()),
    };
    Some(Numbers { is_scalar: indices.is_scalar, values })
}

/// `Slice` along axis 0 with step 1; `end` may lie beyond the last number.
pub(super) fn slice(numbers: &Numbers, start: i64, end: i64) -> Numbers {
    let length = numbers.len();
    let bound = |index: i64| match index {
        0.. => usize::try_from(index).unwrap_or(length).min(length),
        _ => from_end(index, length).unwrap_or(0),
    };
    let (start, end) = (bound(start), bound(end));
    let range = start.min(end)..end;
    let values = match &numbers.values {
        Values::Ints(values) => Values::Ints(values[range].to_vec()),
        Values::Floats(values) => Values::Floats(values[range].to_vec()),
    };
    Numbers { is_scalar: false, values }
}

/// `Concat` of vectors; `None` for mixed types.
pub(super) fn concatenate(parts: &[Numbers]) -> Option<Numbers> {
    let is_int = parts.iter().all(|part| matches!(part.values, Values::Ints(_)));
    let is_float = parts.iter().all(|part| matches!(part.values, Values::Floats(_)));
    let total: usize = parts.iter().map(Numbers::len).sum();
    if (!is_int && !is_float) || parts.iter().any(|part| part.is_scalar) || total > 64 {
        return None;
    }
    let values = match is_int {
        true => Values::Ints(parts.iter().filter_map(Numbers::as_ints).flatten().copied().collect()),
        false => Values::Floats(parts.iter().flat_map(Numbers::to_floats).collect()),
    };
    Some(Numbers { is_scalar: false, values })
}

/// The target of a `Reshape`: 0 keeps an axis (unless zeros are allowed), one -1 takes what is left.
pub(super) fn reshape_target(sizes: &[usize], target: &[i64], allow_zero: bool) -> Option<Vec<usize>> {
    let total = product(sizes)?;
    let mut inferred = None;
    let mut result = Vec::with_capacity(target.len());
    for (axis, &size) in target.iter().enumerate() {
        result.push(match size {
            0 if !allow_zero => *sizes.get(axis)?,
            -1 if inferred.is_none() => {
                inferred = Some(axis);
                1
            }
            _ => usize::try_from(size).ok()?,
        });
    }
    if let Some(axis) = inferred {
        let known = product(&result)?;
        if known == 0 || !total.is_multiple_of(known) {
            return None;
        }
        result[axis] = total / known;
    }
    (product(&result)? == total).then_some(result)
}

/// The product of sizes, unless it is too large for any memory.
pub(super) fn product(sizes: &[usize]) -> Option<usize> {
    sizes
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size))
        .filter(|&product| product <= 1 << 48)
}

/// An index or axis, counted from the end where negative.
pub(super) fn from_end(index: i64, length: usize) -> Option<usize> {
    match index {
        0.. => usize::try_from(index).ok(),
        _ => length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(values: &[f64]) -> Numbers {
        Numbers { is_scalar: false, values: Values::Floats(values.to_vec()) }
    }

    #[test]
    fn numbers_are_combined_as_onnx_says() {
        let shape = Numbers::ints(vec![1, 3, 64, 48]);
        let two = Numbers { is_scalar: true, values: Values::Ints(vec![2]) };
        let halves = binary("Div", &slice(&shape, 2, i64::MAX), &two).unwrap();
        assert_eq!(halves.as_ints(), Some(&[32, 24][..]));
        let last = gather(&shape, &Numbers { is_scalar: true, values: Values::Ints(vec![-1]) }).unwrap();
        assert_eq!((last.is_scalar, last.as_ints()), (true, Some(&[48][..])));
        assert_eq!(concatenate(&[slice(&shape, 0, 2), halves]).unwrap().as_ints(), Some(&[1, 3, 32, 24][..]));
        assert_eq!(cast(&floor(&floats(&[2.7])), INT64).unwrap().as_ints(), Some(&[2][..]));
    }

    #[test]
    fn what_cannot_be_computed_is_none() {
        let shape = Numbers::ints(vec![1, 3, i64::MAX]);
        let zero = Numbers::ints(vec![0]);
        assert_eq!(binary("Div", &shape, &zero), None);
        assert_eq!(binary("Add", &shape, &shape), None);
        assert_eq!(binary("Pow", &zero, &zero), None);
        assert_eq!(binary("Mul", &zero, &floats(&[1.0])), None);
        assert_eq!(gather(&shape, &Numbers::ints(vec![3])), None);
        assert_eq!(gather(&shape, &Numbers::ints(vec![-4])), None);
        assert_eq!(concatenate(&[zero, floats(&[1.0])]), None);
        assert_eq!(cast(&floats(&[1e30]), INT64), None);
    }

    #[test]
    fn a_reshape_keeps_infers_or_fails() {
        let sizes = [2, 3, 8, 12];
        assert_eq!(reshape_target(&sizes, &[0, 0, -1], false), Some(vec![2, 3, 96]));
        assert_eq!(reshape_target(&sizes, &[6, 4, 2, 12], false), Some(vec![6, 4, 2, 12]));
        for target in
            [&[0, 0, -1, -1][..], &[5, -1], &[2, 3, 8, 13], &[-2, 3], &[0, 0, 0, 0, 0], &[i64::MAX, 4, -1]]
        {
            assert_eq!(reshape_target(&sizes, target, false), None, "{target:?}");
        }
        assert_eq!(reshape_target(&sizes, &[0, -1], true), None);
    }
}
