//! The layers and the image tower in candle's tensors: how they run on a graphics card, and, on the CPU, what the
//! tests hold the engine against. Plain operations one after the other, nothing fused.

mod vit;

use candle_core::{D, Device, Result as CandleResult, Tensor};

use super::stack::{LayerNames, Order};
use crate::ModelError;
use crate::config::{Activation, Layers};
use crate::source::Source;
use crate::weights::plain;

#[cfg(feature = "cuda")]
pub(crate) use vit::TensorVit;

/// Where tensors are, and the weights that become some.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) device: &'a Device,
}

impl Place<'_> {
    fn tensor(self, name: &str, shape: &[usize]) -> Result<Tensor, ModelError> {
        let values = self.source.values(name)?;
        Tensor::from_slice(values.as_slice(), shape, self.device).map_err(|e| self.failed(&e))
    }

    fn failed(self, error: &candle_core::Error) -> ModelError {
        ModelError::run(self.source.path(), plain(error))
    }

    fn dense(self, name: &str, from: usize, to: usize, has_bias: bool) -> Result<TensorDense, ModelError> {
        let weight = self.tensor(&format!("{name}.weight"), &[to, from])?.t().map_err(|e| self.failed(&e))?;
        let bias = has_bias.then(|| self.tensor(&format!("{name}.bias"), &[to])).transpose()?;
        Ok(TensorDense { weight, bias })
    }

    fn norm(self, name: &str, width: usize, eps: f64) -> Result<TensorNorm, ModelError> {
        Ok(TensorNorm {
            gain: self.tensor(&format!("{name}.weight"), &[width])?,
            bias: self.tensor(&format!("{name}.bias"), &[width])?,
            eps,
        })
    }
}

struct TensorDense {
    /// `[from, to]`
    weight: Tensor,
    /// `[to]`
    bias: Option<Tensor>,
}

impl TensorDense {
    /// `[…, from]` to `[…, to]`.
    fn forward(&self, x: &Tensor) -> CandleResult<Tensor> {
        let y = x.broadcast_matmul(&self.weight)?;
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}

struct TensorNorm {
    gain: Tensor,
    bias: Tensor,
    eps: f64,
}

impl TensorNorm {
    fn forward(&self, x: &Tensor) -> CandleResult<Tensor> {
        let off = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = off.sqr()?.mean_keepdim(D::Minus1)?;
        off.broadcast_div(&(variance + self.eps)?.sqrt()?)?
            .broadcast_mul(&self.gain)?
            .broadcast_add(&self.bias)
    }
}

fn activate(activation: Activation, x: &Tensor) -> CandleResult<Tensor> {
    match activation {
        Activation::Gelu => x.gelu_erf(),
        Activation::GeluTanh => x.gelu(),
        Activation::Relu => x.relu(),
        Activation::QuickGelu => x / ((x * -1.702)?.exp()? + 1.0)?,
    }
}

struct TensorLayer {
    query: TensorDense,
    key: TensorDense,
    value: TensorDense,
    out: TensorDense,
    norm1: TensorNorm,
    up: TensorDense,
    down: TensorDense,
    norm2: TensorNorm,
}

/// Layers one after the other.
pub(crate) struct TensorStack {
    order: Order,
    heads: usize,
    activation: Activation,
    layers: Vec<TensorLayer>,
}

impl TensorStack {
    pub(crate) fn load(
        place: Place<'_>,
        layers: &Layers,
        order: Order,
        names: impl Fn(usize) -> LayerNames,
    ) -> Result<Self, ModelError> {
        let (width, inner, eps) = (layers.width, layers.intermediate, layers.eps);
        let load = |index| {
            let names = names(index);
            Ok(TensorLayer {
                query: place.dense(&names.query, width, width, true)?,
                key: place.dense(&names.key, width, width, true)?,
                value: place.dense(&names.value, width, width, true)?,
                out: place.dense(&names.out, width, width, true)?,
                norm1: place.norm(&names.norm1, width, eps)?,
                up: place.dense(&names.up, width, inner, true)?,
                down: place.dense(&names.down, inner, width, true)?,
                norm2: place.norm(&names.norm2, width, eps)?,
            })
        };
        let loaded = (0..layers.count).map(load).collect::<Result<_, ModelError>>()?;
        Ok(Self { order, heads: layers.heads, activation: layers.activation, layers: loaded })
    }

    /// Sequences of one length, `[sequences, tokens, width]`, to the last states of their first tokens,
    /// `[sequences, width]`.
    pub(crate) fn forward(&self, hidden: &Tensor) -> CandleResult<Tensor> {
        let mut hidden = hidden.clone();
        for layer in &self.layers {
            let is_before = self.order == Order::Before;
            let x = if is_before { layer.norm1.forward(&hidden)? } else { hidden.clone() };
            hidden = (&hidden + layer.out.forward(&self.attend(layer, &x)?)?)?;
            let x = if is_before {
                layer.norm2.forward(&hidden)?
            } else {
                hidden = layer.norm1.forward(&hidden)?;
                hidden.clone()
            };
            let inner = activate(self.activation, &layer.up.forward(&x)?)?;
            hidden = (&hidden + layer.down.forward(&inner)?)?;
            if !is_before {
                hidden = layer.norm2.forward(&hidden)?;
            }
        }
        hidden.narrow(1, 0, 1)?.squeeze(1)
    }

    fn attend(&self, layer: &TensorLayer, x: &Tensor) -> CandleResult<Tensor> {
        let (sequences, tokens, width) = x.dims3()?;
        let head = width / self.heads;
        let split = |dense: &TensorDense| {
            let y = dense.forward(x)?.reshape((sequences, tokens, self.heads, head))?;
            y.transpose(1, 2)?.contiguous()
        };
        let (query, key, value) = (split(&layer.query)?, split(&layer.key)?, split(&layer.value)?);
        let scores = (query.matmul(&key.t()?)? / (head as f64).sqrt())?;
        let shares = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?.exp()?;
        let shares = shares.broadcast_div(&shares.sum_keepdim(D::Minus1)?)?;
        shares.matmul(&value)?.transpose(1, 2)?.reshape((sequences, tokens, width))
    }
}
