//! The U-Net discriminator and the adversarial losses beside PyTorch's: `golden/training/make_unet.py`.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Tensor, TensorData};
use esrgan_model::{ComputeDevice, Discriminator, Parameters, UnetDiscriminator, View};
use esrgan_testkit::{Array, read_npz};
use esrgan_train::AdversarialLoss;

/// Ten convolutions of up to 1152 products each in f32, by Winograd's transforms, which lose some five bits: a value is off by less
/// than a thousand roundings of the largest.
const BOUND: f64 = 1000.0 * f32::EPSILON as f64;

fn golden() -> BTreeMap<String, Array> {
    read_npz(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/training/unet.npz")))
}

fn narrow(array: &Array) -> Vec<f32> {
    array.values.iter().map(|value| *value as f32).collect()
}

fn images(array: &Array) -> Tensor<4> {
    Tensor::from_data(
        TensorData::new(narrow(array), array.shape.clone()),
        &ComputeDevice::Processor.tensors(),
    )
}

/// The tensors of a list, as the golden has them before its first pass.
fn before(golden: &BTreeMap<String, Array>, tensors: Vec<(String, Vec<usize>)>) -> Parameters {
    let mut parameters = Parameters::new();
    for (name, shape) in tensors {
        let array = &golden[&format!("before.{name}")];
        assert_eq!(array.shape, shape, "{name}");
        parameters.push(name, shape, narrow(array));
    }
    parameters
}

/// Off by less than the bound times the largest value.
#[track_caller]
fn assert_near(what: &str, found: &[f32], expected: &Array) {
    assert_eq!(found.len(), expected.values.len(), "{what}");
    let largest = expected.values.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    let off = found.iter().zip(&expected.values).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
    assert!(off <= BOUND * largest, "{what}: off by {off:e} of {largest:e}");
}

fn values(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("values of f32")
}

#[test]
fn the_unet_and_its_gradients_are_those_of_pytorch() {
    let golden = golden();
    let network = Discriminator::Unet(UnetDiscriminator::new(8, 24).unwrap());
    let parameters = before(&golden, network.tensors());
    let shapes = |parameters: &Parameters| {
        parameters.iter().map(|parameter| (parameter.name.clone(), parameter.shape.clone())).collect()
    };
    let mut directions = before(&golden, shapes(&network.statistics(1)));
    let leaves = parameters.tracked(ComputeDevice::Processor);
    let input = images(&golden["images"]).require_grad();
    let mut pass = || {
        let view = View { crops: input.clone(), features: Vec::new() };
        network.forward(&leaves, &mut directions, view).pop().expect("a head")
    };
    let first = pass();
    assert_near("logits of the first pass", &values(first), &golden["logits0"]);
    let logits = pass();
    assert_near("logits of the second pass", &values(logits.clone()), &golden["logits1"]);
    for direction in directions.iter() {
        assert_near(&direction.name, &direction.values, &golden[&format!("after.{}", direction.name)]);
    }
    let factors = images(&golden["factors"]).reshape(logits.dims());
    let gradients = (logits * factors).sum().backward();
    for (parameter, gradient) in parameters.iter().zip(leaves.gradients(&gradients).into_host()) {
        assert_near(&parameter.name, &gradient, &golden[&format!("gradient.{}", parameter.name)]);
    }
    let of_images = input.grad(&gradients).unwrap().into_data().try_into_vec::<f32>().unwrap();
    assert_near("the pictures", &of_images, &golden["gradient.images"]);
}

#[test]
fn adversarial_losses_and_their_gradients_are_those_of_pytorch() {
    let golden = golden();
    let logits = |name: &str| {
        let array = &golden[name];
        Tensor::<2>::from_data(
            TensorData::new(narrow(array), array.shape.clone()),
            &ComputeDevice::Processor.tensors(),
        )
        .require_grad()
    };
    let value = |loss: &Tensor<1>| loss.clone().into_data().iter::<f32>().next().expect("a value");
    for (name, loss) in [
        ("relativistic", AdversarialLoss::Relativistic),
        ("vanilla", AdversarialLoss::Vanilla),
        ("lsgan", AdversarialLoss::Lsgan),
        ("hinge", AdversarialLoss::Hinge),
    ] {
        let (real, fake) = (logits("real"), logits("fake"));
        let of_generator = loss.of_generator(loss.is_relative().then(|| real.clone()), fake.clone());
        let [of_real, of_fake] = loss.of_discriminator(real.clone(), fake.clone());
        let found = [value(&of_generator), value(&of_real), value(&of_fake)];
        assert_near(name, &found, &golden[&format!("{name}.losses")]);
        let gradients = of_generator.backward();
        let gradient = |of: &Tensor<2>, gradients: &_| values(of.grad(gradients).expect("a gradient"));
        assert_near(name, &gradient(&fake, &gradients), &golden[&format!("{name}.generator")]);
        let gradients = (of_real + of_fake).backward();
        assert_near(name, &gradient(&real, &gradients), &golden[&format!("{name}.real")]);
        assert_near(name, &gradient(&fake, &gradients), &golden[&format!("{name}.fake")]);
    }
}
