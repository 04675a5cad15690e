//! The user's own network in the form ONNX, run by `tract`. Fitted elsewhere: it learns nothing here.

use super::{Fitted, Kind, ModelError, Rows, TrainingSet};
use genome::random::Seed;
use std::{io::Cursor, sync::Arc};
use tract_onnx::{pb, prelude::*};

/// A network that takes a row of features, f32, in the file's order, and gives a probability: one number, or two of which the
/// second is that of the target above its middle. Of several outputs the last counts.
#[derive(Clone)]
pub(super) struct Onnx {
    plan: Arc<TypedRunnableModel>,
    features: usize,
}

fn fail(error: impl std::fmt::Display) -> ModelError {
    ModelError::Network(format!("{error:#}"))
}

/// Replaces each `Scaler`, by which scikit-learn standardises and which `tract` does not know, by what it means: x less the
/// offset, times the scale.
fn spell_out_scalers(graph: &mut pb::GraphProto) {
    let mut nodes = Vec::with_capacity(graph.node.len());
    for (number, node) in std::mem::take(&mut graph.node).into_iter().enumerate() {
        let floats = |name: &str| node.attribute.iter().find(|a| a.name == name).map(|a| a.floats.clone());
        let ([input], [output]) = (&node.input[..], &node.output[..]) else {
            nodes.push(node);
            continue;
        };
        let (true, Some(offset), Some(scale)) = (node.op_type == "Scaler", floats("offset"), floats("scale")) else {
            nodes.push(node);
            continue;
        };
        let name = |what: &str| format!("sg_ai_scaler_{number}_{what}");
        let mut step = |what: &str, op_type: &str, [input, output]: [String; 2], values: Vec<f32>| {
            let constant = pb::TensorProto {
                name: name(what),
                dims: vec![values.len() as i64],
                data_type: pb::tensor_proto::DataType::Float as i32,
                float_data: values,
                ..pb::TensorProto::default()
            };
            let node = pb::NodeProto {
                name: name(op_type),
                op_type: op_type.to_owned(),
                input: vec![input, constant.name.clone()],
                output: vec![output],
                ..pb::NodeProto::default()
            };
            graph.initializer.push(constant);
            nodes.push(node);
        };
        let between = name("shifted");
        step("offset", "Sub", [input.clone(), between.clone()], offset);
        step("scale", "Mul", [between, output.clone()], scale);
    }
    graph.node = nodes;
}

impl Onnx {
    pub(super) fn read(bytes: &[u8], features: usize) -> Result<Self, ModelError> {
        let read = || -> TractResult<Arc<TypedRunnableModel>> {
            let onnx = tract_onnx::onnx();
            let mut proto = onnx.proto_model_for_read(&mut Cursor::new(bytes))?;
            if let Some(graph) = &mut proto.graph {
                spell_out_scalers(graph);
            }
            let model = onnx.model_for_proto_model(&proto)?;
            model.with_input_fact(0, f32::fact([1, features]).into())?.into_optimized()?.into_runnable()
        };
        Ok(Self { plan: read().map_err(fail)?, features })
    }

    /// One row at a time, so that no row's probability depends on another.
    fn probability(&self, row: &[f32]) -> Result<f64, ModelError> {
        let input = Tensor::from_shape(&[1, self.features], row).map_err(fail)?;
        let outputs = self.plan.run(tvec!(input.into())).map_err(fail)?;
        let last = outputs.last().ok_or_else(|| fail("it gives nothing"))?;
        let last = last.cast_to::<f32>().map_err(fail)?;
        let values: Vec<f32> = last.to_plain_array_view::<f32>().map_err(fail)?.iter().copied().collect();
        match values[..] {
            [probability] | [_, probability] => Ok(f64::from(probability)),
            _ => Err(fail(format!("it gives {} numbers for a row, and one or two are a probability", values.len()))),
        }
    }
}

impl Kind for Onnx {
    fn fit(&self, _: &TrainingSet, _: Seed) -> Result<Box<dyn Fitted>, ModelError> {
        Ok(Box::new(self.clone()))
    }

    fn learns(&self) -> bool {
        false
    }
}

impl Fitted for Onnx {
    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        let row = |at: usize| -> Vec<f32> { (0..rows.features).map(|f| rows.column(f)[at] as f32).collect() };
        (0..rows.rows).map(|at| self.probability(&row(at))).collect()
    }
}
