//! Products with rows that lie inside wider ones.

use bigrain_gpu::{Backend, DeviceBuffer, GpuError, Matrix, Product};
use half::f16;

use crate::support::{Numbers, devices};

fn upload(device: &dyn Backend, numbers: &[f32]) -> DeviceBuffer {
    let bytes: Vec<u8> =
        numbers.iter().flat_map(|&number| f16::from_f32(number).to_le_bytes()).collect();
    let buffer = device.allocate("numbers", bytes.len()).unwrap();
    device.write(&buffer, 0, &bytes).unwrap();
    buffer
}

fn download(device: &dyn Backend, buffer: &DeviceBuffer) -> Vec<f32> {
    let mut bytes = vec![0; buffer.bytes()];
    device.read(buffer, 0, &mut bytes).unwrap();
    bytes.as_chunks::<2>().0.iter().map(|&half| f16::from_le_bytes(half).to_f32()).collect()
}

#[test]
fn blocks_of_a_row_are_multiplied_in_place_and_others_stay() {
    let (rows, inputs, outputs) = (37, 24, 16);
    let (a_at, a_stride, out_at, out_stride) = (3 * 64 + 16, 64, 40 + 8, 40);
    let mut numbers = Numbers(5);
    let mut halves = |count: usize| -> Vec<f32> {
        numbers.floats(count).into_iter().map(|x| f16::from_f32(x).to_f32()).collect()
    };
    let (a, weights, bias) =
        (halves(a_at + rows * a_stride), halves(outputs * inputs), halves(outputs));
    let before = halves(out_at + rows * out_stride);
    for device in devices() {
        let out = upload(&*device, &before);
        let (left, right) = (upload(&*device, &a), upload(&*device, &weights));
        let bias_there = upload(&*device, &bias);
        let scratch = device.allocate("scratch", device.scratch_bytes().max(1)).unwrap();
        let product = Product {
            a: Matrix { buffer: &left, at: a_at, stride: a_stride },
            weights: &right,
            bias: &bias_there,
            out: Matrix { buffer: &out, at: out_at, stride: out_stride },
            rows,
            inputs,
            outputs,
            scratch: &scratch,
        };
        device.multiply(&product).unwrap();
        let found = download(&*device, &out);
        for (at, (found, before)) in found.iter().zip(&before).enumerate() {
            let place = at.checked_sub(out_at).map(|at| (at / out_stride, at % out_stride));
            let Some((row, column)) = place.filter(|&(row, column)| row < rows && column < outputs)
            else {
                assert_eq!(found, before, "{}: {at}", device.name());
                continue;
            };
            let terms =
                a[a_at + row * a_stride..].iter().zip(&weights[column * inputs..][..inputs]);
            let expected: f32 = bias[column] + terms.map(|(x, y)| x * y).sum::<f32>();
            assert!((found - expected).abs() <= 4e-3, "{}: {found} {expected}", device.name());
        }
        let refuse = |product: Product<'_>| {
            let error = device.multiply(&product).unwrap_err();
            assert!(matches!(error, GpuError::Shape(_)), "{error}");
            error.to_string()
        };
        let narrow = Matrix { stride: inputs - 1, ..product.a };
        assert_eq!(
            refuse(Product { a: narrow, ..product }),
            "left factor: rows of 24 every 23 halves"
        );
        let late = Matrix { at: out_at + 2 * out_stride, ..product.out };
        assert!(refuse(Product { out: late, ..product }).starts_with("result of "));
    }
}
