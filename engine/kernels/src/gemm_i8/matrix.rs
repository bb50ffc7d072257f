//! A weight matrix in panels.

use super::{Line, MAX_INT8_DEPTH, PANEL_COLUMNS, Panel, PanelColumns, STEP_DEPTH, Step};

/// A matrix `[depth, cols]` of int8 weights with its scales, bias and exact columns, laid out for
/// [`multiply_i8`](crate::multiply_i8).
#[derive(Clone, Debug)]
pub struct Int8Matrix {
    depth: usize,
    cols: usize,
    steps: Vec<Step>,
    columns: Vec<PanelColumns>,
    /// The inputs that are not quantised.
    exact_inputs: Vec<usize>,
    /// `[panel][exact input][column]`.
    exact: Vec<[f32; PANEL_COLUMNS]>,
    /// 1 for each input that is quantised, 0 for each that is exact.
    keep: Vec<f32>,
}

/// What an [`Int8Matrix`] is made from.
#[derive(Clone, Copy, Debug)]
pub struct Int8Parts<'a> {
    /// The transpose, `[cols, depth]` row by row, as checkpoints store a layer; -128 is read as -127.
    pub weights: &'a [i8],
    /// The value of one unit, for each column.
    pub scales: &'a [f32],
    /// Added to the result, for each column.
    pub bias: &'a [f32],
    /// Inputs multiplied in `f32` instead, each below the depth; what `weights` has there is ignored.
    pub exact_inputs: &'a [usize],
    /// Their weights, `[cols, exact inputs]` row by row.
    pub exact_weights: &'a [f32],
}

impl Int8Matrix {
    /// Lays out a matrix of `depth` rows.
    ///
    /// # Panics
    ///
    /// When lengths do not fit together, an exact input is not below `depth`, or `depth` is 0 or above
    /// [`MAX_INT8_DEPTH`](crate::MAX_INT8_DEPTH).
    #[must_use]
    pub fn new(depth: usize, parts: Int8Parts<'_>) -> Self {
        let cols = parts.scales.len();
        let inputs = parts.exact_inputs;
        assert!(
            (1..=MAX_INT8_DEPTH).contains(&depth),
            "depth {depth} is not 1 to {MAX_INT8_DEPTH}"
        );
        assert_eq!(parts.weights.len(), cols * depth, "weights are not [{cols}, {depth}]");
        assert_eq!(parts.bias.len(), cols, "scales and bias differ in length");
        assert_eq!(
            parts.exact_weights.len(),
            cols * inputs.len(),
            "exact weights are too many or few"
        );
        assert!(inputs.iter().all(|&input| input < depth), "an exact input is not below {depth}");

        let mut keep = vec![1.0; depth];
        inputs.iter().for_each(|&input| keep[input] = 0.0);
        let panels = cols.div_ceil(PANEL_COLUMNS);
        let depth_steps = depth.div_ceil(STEP_DEPTH);
        let mut matrix = Self {
            depth,
            cols,
            steps: vec![[Line([0; 64]); 4]; panels * depth_steps],
            columns: vec![
                PanelColumns {
                    starts: [0; PANEL_COLUMNS],
                    scales: [0.0; PANEL_COLUMNS],
                    bias: [0.0; PANEL_COLUMNS],
                };
                panels
            ],
            exact_inputs: inputs.to_vec(),
            exact: vec![[0.0; PANEL_COLUMNS]; panels * inputs.len()],
            keep,
        };
        for (col, weights) in parts.weights.chunks_exact(depth).enumerate() {
            let (panel, at) = (col / PANEL_COLUMNS, col % PANEL_COLUMNS);
            let mut sum = 0;
            let steps = &mut matrix.steps[panel * depth_steps..][..depth_steps];
            for (k, &weight) in weights.iter().enumerate().filter(|(k, _)| matrix.keep[*k] != 0.0) {
                let weight = weight.max(-127);
                let line = &mut steps[k / STEP_DEPTH][at / 16].0;
                line[at % 16 * STEP_DEPTH + k % STEP_DEPTH] = weight;
                sum += i32::from(weight);
            }
            let columns = &mut matrix.columns[panel];
            columns.starts[at] = -128 * sum;
            columns.scales[at] = parts.scales[col];
            columns.bias[at] = parts.bias[col];
            for (e, &weight) in
                parts.exact_weights[col * inputs.len()..][..inputs.len()].iter().enumerate()
            {
                matrix.exact[panel * inputs.len() + e][at] = weight;
            }
        }
        matrix
    }

    /// Values of a row it multiplies.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Values of a row of the result.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The inputs that are multiplied in `f32`.
    #[must_use]
    pub fn exact_inputs(&self) -> &[usize] {
        &self.exact_inputs
    }

    /// 1 for each input that is quantised, 0 for each that is exact.
    pub(super) fn keep(&self) -> &[f32] {
        &self.keep
    }

    /// Steps of depth of a panel.
    pub(super) fn depth_steps(&self) -> usize {
        self.depth.div_ceil(STEP_DEPTH)
    }

    pub(super) fn panel(&self, panel: usize) -> Panel<'_> {
        let (steps, exact) = (self.depth_steps(), self.exact_inputs.len());
        Panel {
            steps: &self.steps[panel * steps..][..steps],
            columns: &self.columns[panel],
            exact: &self.exact[panel * exact..][..exact],
        }
    }
}
