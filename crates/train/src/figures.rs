//! Figures of a step: where they come up, and read.
//!
//! On a device a figure is a tensor that is not there yet when the next operation is asked for. They are read together at the end of
//! a step, so that nothing waits on the way.

use burn::tensor::Tensor;
use esrgan_model::to_host;

/// Named figures of a step.
pub type Figures = Vec<(&'static str, f64)>;

/// A figure.
#[derive(Clone, Debug)]
pub enum Figure {
    /// Known to the host.
    Known(f64),
    /// One value of a device.
    Tensor(Box<Tensor<1>>),
}

/// Named figures that are not read yet.
#[derive(Clone, Debug, Default)]
pub struct Unread(Vec<(&'static str, Figure)>);

impl Unread {
    /// Adds a figure that is known.
    pub fn add(&mut self, name: &'static str, figure: Figure) {
        self.0.push((name, figure));
    }

    /// Adds the only value of a tensor; its graph is not kept.
    pub(crate) fn add_tensor(&mut self, name: &'static str, tensor: &Tensor<1>) {
        self.add(name, Figure::Tensor(Box::new(tensor.clone().without_autodiff())));
    }

    /// Their values.
    pub fn read(self) -> Figures {
        read_all(vec![self]).pop().unwrap_or_default()
    }
}

/// The values of all lists, brought to the host at once.
fn read_all(lists: Vec<Unread>) -> Vec<Figures> {
    let tensor = |figure: &Figure| match figure {
        Figure::Tensor(tensor) => Some(Tensor::clone(tensor)),
        Figure::Known(_) => None,
    };
    let tensors: Vec<Tensor<1>> =
        lists.iter().flat_map(|list| list.0.iter().filter_map(|(_, figure)| tensor(figure))).collect();
    let read = if tensors.is_empty() { Vec::new() } else { to_host(Tensor::cat(tensors, 0)) };
    let mut read = read.into_iter().map(f64::from);
    let mut value = |figure| match figure {
        Figure::Known(value) => value,
        Figure::Tensor(_) => read.next().unwrap_or(f64::NAN),
    };
    let mut list = |list: Unread| list.0.into_iter().map(|(name, figure)| (name, value(figure))).collect();
    lists.into_iter().map(&mut list).collect()
}

/// The figures of all groups behind each other, each group's the means over its lists; all brought to the host at once.
pub(crate) fn read_means(groups: Vec<Vec<Unread>>) -> Figures {
    let counts: Vec<usize> = groups.iter().map(Vec::len).collect();
    let mut read = read_all(groups.into_iter().flatten().collect()).into_iter();
    counts.into_iter().flat_map(|count| means(read.by_ref().take(count).collect())).collect()
}

/// The mean of each figure over lists of the same figures.
fn means(lists: Vec<Figures>) -> Figures {
    let count = lists.len() as f64;
    let sum = lists.into_iter().reduce(|mut sum, next| {
        sum.iter_mut().zip(next).for_each(|(sum, next)| sum.1 += next.1);
        sum
    });
    let mut means = sum.unwrap_or_default();
    if count > 1.0 {
        means.iter_mut().for_each(|(_, value)| *value /= count);
    }
    means
}

#[cfg(test)]
mod tests {
    use esrgan_model::ComputeDevice;

    use super::*;

    #[test]
    fn figures_are_read_in_their_order() {
        let tensor = |value: f32| Tensor::<1>::full([1], value, &ComputeDevice::Processor.tensors());
        let list = |offset: f32| {
            let mut list = Unread::default();
            list.add_tensor("a", &tensor(offset + 1.0));
            list.add("b", Figure::Known(f64::from(offset) + 2.0));
            list.add_tensor("c", &tensor(offset + 3.0));
            list
        };
        let expected = |offset: f64| vec![("a", offset + 1.0), ("b", offset + 2.0), ("c", offset + 3.0)];
        assert_eq!(list(0.0).read(), expected(0.0));
        let read = read_all(vec![list(0.0), Unread::default(), list(10.0)]);
        assert_eq!(read, [expected(0.0), Figures::new(), expected(10.0)]);
        let groups = vec![vec![list(0.0), list(10.0)], vec![list(1.0)]];
        assert_eq!(read_means(groups), [expected(5.0), expected(1.0)].concat());
        assert_eq!(means(vec![expected(0.0), expected(10.0)]), expected(5.0));
        assert_eq!(means(vec![expected(1.0)]), expected(1.0));
        assert_eq!(means(Vec::new()), Figures::new());
    }
}
