//! The stack against the same layers in candle's tensors, on every level and on several threads.

use std::collections::HashMap;

use candle_core::{Device, IndexOp, Tensor};

use super::*;
use crate::files::Files;
use crate::machine::Level;
use crate::towers::tensors::{Place, TensorStack};
use crate::weights::WeightFile;

const PARTS: [&str; 8] = ["query", "key", "value", "out", "norm1", "up", "down", "norm2"];

fn names(index: usize) -> LayerNames {
    let [query, key, value, out, norm1, up, down, norm2] = PARTS.map(|part| format!("{index}.{part}"));
    LayerNames { query, key, value, out, norm1, up, down, norm2 }
}

/// Random weights that make every part of a layer count.
fn weights(layers: &Layers) -> HashMap<String, Tensor> {
    let (width, inner) = (layers.width, layers.intermediate);
    let random = |mean, std, shape: &[usize]| Tensor::randn(mean, std, shape, &Device::Cpu).unwrap();
    let mut tensors = HashMap::new();
    for index in 0..layers.count {
        for part in PARTS {
            let (to, from) = match part {
                "up" => (inner, width),
                "down" => (width, inner),
                _ => (width, width),
            };
            let weight = match part {
                "norm1" | "norm2" => random(1.0f32, 0.2, &[width]),
                _ => random(0.0, 1.5 / (from as f32).sqrt(), &[to, from]),
            };
            tensors.insert(format!("{index}.{part}.weight"), weight);
            tensors.insert(format!("{index}.{part}.bias"), random(0.0, 0.3, &[to]));
        }
    }
    tensors
}

/// The last state of the first token of one sequence, `[tokens, width]`.
fn by_candle(stack: &TensorStack, input: &Tensor) -> Vec<f32> {
    stack.forward(&input.unsqueeze(0).unwrap()).unwrap().i(0).unwrap().to_vec1().unwrap()
}

fn by_stack(stack: &Stack, team: &Team, width: usize, inputs: &[&Tensor]) -> Vec<Vec<f32>> {
    let mut scratch = Scratch::default();
    let rows: Vec<Vec<f32>> = inputs.iter().flat_map(|input| input.to_vec2::<f32>().unwrap()).collect();
    scratch.hidden.reset(rows.len(), width);
    for (token, row) in rows.iter().enumerate() {
        scratch.hidden.token_mut(token).zip(row).for_each(|(to, from)| *to = *from);
    }
    let mut start = 0;
    for input in inputs {
        let end = start + input.dims()[0];
        scratch.sequences.push(start..end);
        start = end;
    }
    stack.forward(team, &mut scratch);
    (0..inputs.len()).map(|sequence| scratch.hidden.token(sequence).collect()).collect()
}

#[test]
fn layers_are_those_of_candle_and_company_changes_no_bit() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let shapes =
        [(20, 4, 33, Activation::Gelu), (48, 3, 20, Activation::QuickGelu), (7, 1, 50, Activation::Relu)];
    for order in [Order::Before, Order::After] {
        for (width, heads, intermediate, activation) in shapes {
            let layers = Layers { count: 3, width, heads, intermediate, activation, eps: 1e-5 };
            let tensors = weights(&layers);
            let dir = tempfile::tempdir().unwrap();
            candle_core::safetensors::save(&tensors, dir.path().join("model.safetensors")).unwrap();
            let file = WeightFile::open_in(Files::Disk, dir.path()).unwrap();
            let stack = Stack::load(Source::Plain(&file), &layers, order, names).unwrap();
            let place = Place { source: Source::Plain(&file), device: &Device::Cpu };
            let tensors = TensorStack::load(place, &layers, order, names).unwrap();
            let inputs: Vec<Tensor> = [1, 17, 50, 2, 16, 3]
                .map(|tokens| Tensor::randn(0.0f32, 1.0, (tokens, width), &Device::Cpu).unwrap())
                .into();
            let expected: Vec<Vec<f32>> = inputs.iter().map(|input| by_candle(&tensors, input)).collect();
            let together: Vec<&Tensor> = inputs.iter().collect();
            for level in Level::available() {
                let all = by_stack(&stack, &Team::new(level, 1), width, &together);
                for (ours, theirs) in all.iter().zip(&expected) {
                    let off = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                    assert!(off < 5e-5, "{order:?}, width {width}, {level:?}: off by {off}");
                }
                for threads in [2, 3] {
                    let team = Team::new(level, threads);
                    assert_eq!(pool.install(|| by_stack(&stack, &team, width, &together)), all, "{threads}");
                }
                for (input, all) in inputs.iter().zip(&all) {
                    let alone = by_stack(&stack, &Team::new(level, 1), width, &[input]);
                    assert_eq!(&alone[0], all, "{level:?}: alone");
                }
            }
        }
    }
}
