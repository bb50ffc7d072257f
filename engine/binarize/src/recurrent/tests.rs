use std::sync::Arc;

use bigrain_kernels::score_one;
use bigrain_types::Metric;
use proptest::prelude::*;

use super::*;
use crate::support::Gaussian;
use crate::{Binarizer, BinarizerFileError, EncodeScratch, QueryWidth};

const SEED: u64 = 7;

/// A map of small random numbers; `units` of 0 leaves the hidden layer out.
fn learned(inputs: usize, outputs: usize, units: usize, gaussian: &mut Gaussian) -> ResidualMap {
    let mut numbers =
        |count: usize| (0..count).map(|_| 0.05 * gaussian.next()).collect::<Vec<f32>>();
    let (delta, bias) = (numbers(inputs * outputs), numbers(outputs));
    let hidden = (units > 0).then(|| HiddenLayer {
        into: numbers(units * inputs),
        bias: numbers(units),
        out: numbers(units * outputs),
    });
    ResidualMap { delta, bias, hidden }
}

fn parts(dims: usize, code_dims: usize, levels: Levels) -> RecurrentParts {
    RecurrentParts {
        dims,
        code_dims,
        levels,
        seed: SEED,
        first: ResidualMap::default(),
        loops: vec![RecurrentLoop::default(); levels.count() - 1],
        scoring: Scoring::default(),
        provenance: Provenance::default(),
    }
}

fn random_parts(dims: usize, code_dims: usize, levels: Levels, units: usize) -> RecurrentParts {
    let gaussian = &mut Gaussian::new(11);
    let fit = |slope, intercept, error| Fit { slope, intercept, error };
    let mut parts = parts(dims, code_dims, levels);
    parts.first = learned(dims, code_dims, units, gaussian);
    for each in &mut parts.loops {
        each.rebuild = learned(code_dims, dims, units, gaussian);
        each.residual = learned(dims, code_dims, units, gaussian);
    }
    parts.scoring = Scoring { full: fit(0.9, 0.05, 0.02), sign: fit(0.8, 0.06, 0.04) };
    parts.provenance = Provenance {
        parent: Some(Parent {
            space: CodeSpaceId::from_bytes([3; 16]),
            scoring: Scoring { full: fit(0.7, 0.1, 0.03), sign: fit(0.6, 0.12, 0.05) },
            translation: None,
        }),
        training_seed: 5,
        steps: 1500,
        quantiles: vec![ErrorQuantile { share: 0.97, full: 0.04, sign: 0.08 }],
        champion: Champion {
            queries: 1000,
            limit: 10,
            rotation: 0.269,
            learned: 0.295,
            low: 0.01,
            high: 0.04,
        },
    };
    parts
}

fn translation(dims: usize, inputs: usize) -> Translation {
    let map = Gaussian::new(17).row(dims * inputs);
    Translation { dims, map, fit: Fit { slope: 0.9, intercept: 0.02, error: 0.03 } }
}

fn unit(dims: usize, gaussian: &mut Gaussian) -> Vec<f32> {
    let mut vector = gaussian.row(dims);
    let norm = length(&vector) as f32;
    vector.iter_mut().for_each(|x| *x /= norm);
    vector
}

fn code_of(binarizer: &Binarizer, vector: &[f32]) -> (Vec<u64>, crate::Factors) {
    let mut code = vec![0; binarizer.layout().words()];
    let factors = binarizer.encode(vector, &mut EncodeScratch::default(), &mut code);
    (code, factors)
}

#[test]
fn with_nothing_learned_the_signs_are_those_of_the_rotation() {
    let gaussian = &mut Gaussian::new(1);
    for (dims, levels) in [64, 100, 384].into_iter().zip(Levels::ALL) {
        let rotation = Binarizer::new_rotation(dims, levels, Metric::Cosine, SEED).unwrap();
        let code_dims = rotation.layout().dims();
        let zeros = vec![0.0; dims * code_dims];
        let mut parts = parts(dims, code_dims, levels);
        parts.first.delta = zeros;
        let recurrent = Binarizer::new_recurrent(Arc::new(Recurrent::new(parts).unwrap()));
        for _ in 0..50 {
            let vector = unit(dims, gaussian);
            let (ours, theirs) = (code_of(&recurrent, &vector).0, code_of(&rotation, &vector).0);
            let words = rotation.layout().words_per_plane();
            assert_eq!(ours[..words], theirs[..words], "{dims} dimensions, {levels:?}");
        }
    }
}

/// The formulas of the module, in f64, with maps as plain matrices.
fn plainly(recurrent: &Recurrent, vector: &[f32]) -> Vec<f64> {
    let (d, m) = (recurrent.dims(), recurrent.parts().code_dims);
    let rotation = |transposed: bool, x: &[f64]| -> Vec<f64> {
        let x: Vec<f32> = x.iter().map(|&x| x as f32).collect();
        let wide = recurrent.rotation().rotated_dims();
        let mut output = vec![0.0; if transposed { d } else { wide }];
        if transposed {
            let mut padded = x;
            padded.resize(wide, 0.0);
            recurrent.rotation().rotate_back(&mut padded, &mut output);
        } else {
            recurrent.rotation().rotate(&x, &mut output);
            output.truncate(m);
        }
        output.into_iter().map(f64::from).collect()
    };
    let multiply = |matrix: &[f32], x: &[f64]| -> Vec<f64> {
        let row = |row: &[f32]| row.iter().zip(x).map(|(a, b)| f64::from(*a) * b).sum();
        matrix.chunks_exact(x.len()).map(row).collect()
    };
    let map = |map: &ResidualMap, transposed: bool, x: &[f64]| -> Vec<f64> {
        let hidden = map.hidden.as_ref().unwrap();
        let units = multiply(&hidden.into, x);
        let units: Vec<f64> =
            units.iter().zip(&hidden.bias).map(|(x, b)| (x + f64::from(*b)).max(0.0)).collect();
        let terms =
            [rotation(transposed, x), multiply(&map.delta, x), multiply(&hidden.out, &units)];
        let sum = |i: usize| terms.iter().map(|term| term[i]).sum::<f64>() + f64::from(map.bias[i]);
        (0..terms[0].len()).map(sum).collect()
    };
    let sign = |x: &f64| if *x > 0.0 { 1.0 } else { -1.0 };
    let f: Vec<f64> = vector.iter().map(|&x| f64::from(x)).collect();
    let mut b: Vec<f64> = map(&recurrent.parts().first, false, &f).iter().map(sign).collect();
    let mut weight = 1.0;
    for (index, each) in recurrent.parts().loops.iter().enumerate() {
        let length = f64::from(rebuilt_length(recurrent.parts().levels, index));
        let rebuilt = map(&each.rebuild, true, &b);
        let norm = rebuilt.iter().map(|x| x * x).sum::<f64>().sqrt();
        let left: Vec<f64> = f.iter().zip(&rebuilt).map(|(f, x)| f - length * x / norm).collect();
        weight *= 0.5;
        let level = map(&each.residual, false, &left);
        b.iter_mut().zip(&level).for_each(|(b, x)| *b += weight * sign(x));
    }
    b.iter().map(|b| b / weight).collect()
}

#[test]
fn codes_follow_the_formulas() {
    let gaussian = &mut Gaussian::new(2);
    for levels in Levels::ALL {
        let recurrent = Arc::new(Recurrent::new(random_parts(100, 64, levels, 9)).unwrap());
        let binarizer = Binarizer::new_recurrent(Arc::clone(&recurrent));
        let mut different = 0;
        for _ in 0..20 {
            let vector = unit(100, gaussian);
            let mut values = vec![0; 64];
            binarizer.layout().unpack(&code_of(&binarizer, &vector).0, &mut values);
            let plain = plainly(&recurrent, &vector);
            different += values.iter().zip(&plain).filter(|(a, b)| f64::from(**a) != **b).count();
        }
        // Numbers next to zero may round to either side of it.
        assert!(different <= 2, "{different} of 1,280 numbers differ at {levels:?}");
    }
}

#[test]
fn estimates_are_the_fitted_line_through_the_cosine_of_code_and_query() {
    let gaussian = &mut Gaussian::new(3);
    let recurrent = Arc::new(Recurrent::new(random_parts(96, 64, Levels::TWO, 0)).unwrap());
    let binarizer = Binarizer::new_recurrent(Arc::clone(&recurrent));
    for width in [QueryWidth::Bits(8), QueryWidth::Symmetric] {
        let (vector, query) = (unit(96, gaussian), unit(96, gaussian));
        let (code, factors) = code_of(&binarizer, &vector);
        let prepared = binarizer.prepare_query(&query, width).unwrap();
        let levels: Vec<&[u64]> = binarizer.layout().levels_of(&code).collect();
        let estimate = prepared.estimate(score_one(&levels, prepared.planes()), factors);

        let unpacked = |code: &[u64]| {
            let mut values = vec![0; 64];
            binarizer.layout().unpack(code, &mut values);
            values.iter().map(|&value| value as f32).collect::<Vec<f32>>()
        };
        let document = unpacked(&code);
        let side = if width == QueryWidth::Symmetric {
            unpacked(&code_of(&binarizer, &query).0)
        } else {
            prepared.rotated().to_vec()
        };
        let cosine = dot(&document, &side) / (dot(&document, &document) * dot(&side, &side)).sqrt();
        let expected = 0.05 + 0.9 * cosine;
        assert!((estimate.similarity - expected).abs() < 2e-3, "{estimate:?}, not {expected}");
        assert!((estimate.error - 1.9 * 0.02).abs() < 1e-3, "{estimate:?}");
        let first = prepared.sign_terms_about(0.0, 0.0);
        let sign_rescale = 0.8 / 64_f32.sqrt();
        assert!((first.error * sign_rescale - 1.9 * 0.04).abs() < 1e-3, "{first:?}");
        assert_eq!(prepared.terms_in_list(0.5, 2.0), prepared.terms(), "about the origin");
    }
}

#[test]
fn a_query_meets_codes_of_the_declared_parent_as_was_fitted_and_no_others() {
    let gaussian = &mut Gaussian::new(4);
    let fit = |slope, intercept, error| Fit { slope, intercept, error };
    let old = RecurrentParts {
        provenance: Provenance::default(),
        ..random_parts(96, 64, Levels::TWO, 0)
    };
    let old = Arc::new(Recurrent::new(old).unwrap());
    let scoring = Scoring { full: fit(0.7, 0.1, 0.03), sign: fit(0.6, 0.12, 0.05) };
    let new = |space| {
        let mut parts = random_parts(96, 64, Levels::TWO, 0);
        parts.first.bias[3] += 0.5;
        parts.provenance.parent = Some(Parent { space, scoring, translation: None });
        Arc::new(Recurrent::new(parts).unwrap())
    };
    let (declared, other) = (new(old.id()), new(CodeSpaceId::from_bytes([3; 16])));
    assert_eq!(Crossing::declared(&other, &old), None);
    assert_eq!(Crossing::declared(&old, &declared), None, "never the other way round");
    let crossing = Crossing::declared(&declared, &old).unwrap();

    let (asking, coding) = (Binarizer::new_recurrent(declared), Binarizer::new_recurrent(old));
    let (vector, query) = (unit(96, gaussian), unit(96, gaussian));
    let (code, factors) = code_of(&coding, &vector);
    let prepared = asking.prepare_query(&query, QueryWidth::Bits(8)).unwrap();
    let prepared = prepared.crossed(crossing);
    let levels: Vec<&[u64]> = coding.layout().levels_of(&code).collect();
    let estimate = prepared.estimate(score_one(&levels, prepared.planes()), factors);
    let mut values = vec![0; 64];
    coding.layout().unpack(&code, &mut values);
    let document: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
    let cosine = dot(&document, prepared.rotated()) / dot(&document, &document).sqrt();
    let expected = 0.1 + 0.7 * cosine;
    assert!((estimate.similarity - expected).abs() < 2e-3, "{estimate:?}, not {expected}");
    assert!((estimate.error - 1.9 * 0.03).abs() < 1e-3, "{estimate:?}");
    // A code's sign factors hold the old slope, 0.8, and the old intercept, 0.06.
    let first = prepared.sign_terms_in_list(0.5, 2.0);
    let sign_rescale = 0.8 / 64_f32.sqrt();
    assert!((first.error * sign_rescale - 1.9 * 0.05).abs() < 1e-3, "{first:?}");
    assert!((first.constant - 0.06).abs() < 1e-6, "{first:?}");
    assert!((first.scale / prepared.terms_about(0.0, 0.0).scale - 0.75).abs() < 1e-6, "{first:?}");
}

#[test]
fn codes_of_another_encoder_are_crossed_by_translated_queries_alone() {
    let old = Arc::new(Recurrent::new(parts(90, 64, Levels::TWO)).unwrap());
    let mut new = random_parts(70, 64, Levels::TWO, 0);
    new.provenance.parent.as_mut().unwrap().space = old.id();
    assert_eq!(Crossing::declared(&Recurrent::new(new.clone()).unwrap(), &old), None);
    for (dims, crossed) in [(89, false), (90, true)] {
        new.provenance.parent.as_mut().unwrap().translation = Some(translation(dims, 70));
        let new = Recurrent::new(new.clone()).unwrap();
        assert_eq!(Crossing::declared(&new, &old).is_some(), crossed);
    }
    let translation = translation(3, 2);
    let translated = translation.translate(&[0.6, -0.8]).unwrap();
    let row = |at: usize| 0.6 * translation.map[2 * at] - 0.8 * translation.map[2 * at + 1];
    let length = length(&[row(0), row(1), row(2)]) as f32;
    for (at, value) in translated.iter().enumerate() {
        assert!((value - row(at) / length).abs() < 1e-6, "{translated:?}");
    }
    assert!((translation.similarity(0.5) - 0.47).abs() < 1e-6);
    let nothing = Translation { map: vec![0.0; 6], ..translation };
    assert_eq!(nothing.translate(&[0.6, -0.8]), None, "no direction is left");
}

#[test]
fn bytes_give_the_binarizer_back() {
    for units in [0, 5] {
        for levels in Levels::ALL {
            let recurrent = Recurrent::new(random_parts(70, 64, levels, units)).unwrap();
            let read = Recurrent::from_bytes(&recurrent.to_bytes()).unwrap();
            assert_eq!(read.parts(), recurrent.parts());
            assert_eq!(read.id(), recurrent.id());
            let binarizer = Binarizer::from_bytes(&recurrent.to_bytes()).unwrap();
            assert_eq!(binarizer.id(), recurrent.id());
            assert_eq!(binarizer.to_bytes(), recurrent.to_bytes());
        }
    }
    let mut parentless = random_parts(70, 64, Levels::TWO, 0);
    parentless.provenance.parent = None;
    let parentless = Recurrent::new(parentless).unwrap();
    assert_eq!(parentless.to_bytes()[8], 1, "what is older reads it");
    assert_eq!(Recurrent::from_bytes(&parentless.to_bytes()).unwrap().parts(), parentless.parts());
    let mut translated = random_parts(70, 64, Levels::TWO, 0);
    translated.provenance.parent.as_mut().unwrap().translation = Some(translation(90, 70));
    let translated = Recurrent::new(translated).unwrap();
    let bytes = translated.to_bytes();
    assert_eq!((bytes[8], bytes[144]), (3, 90), "what is older refuses it");
    assert_eq!(Recurrent::from_bytes(&bytes).unwrap().parts(), translated.parts());
    let nothing_learned = Recurrent::new(parts(70, 128, Levels::TWO)).unwrap();
    let read = Recurrent::from_bytes(&nothing_learned.to_bytes()).unwrap();
    assert_eq!(read.id(), nothing_learned.id(), "absent tensors are zeros");
}

#[test]
fn what_is_not_a_binarizer_is_named() {
    let bytes = Recurrent::new(random_parts(70, 64, Levels::TWO, 3)).unwrap().to_bytes();
    let read = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        Recurrent::from_bytes(&bytes).unwrap_err()
    };
    assert_eq!(read(&|bytes| bytes[0] = 0), BinarizerFileError::Magic);
    let newer = read(&|bytes| bytes[8] = 4).to_string();
    assert_eq!(newer, "learned binarizer has version 4, this program reads versions up to 3");
    let other = read(&|bytes| bytes[8] = 3).to_string();
    assert!(other.contains("number of the parent's dimensions"), "{other}");
    assert_eq!(read(&|bytes| bytes[200] ^= 1), BinarizerFileError::Check);
    assert!(matches!(read(&|bytes| bytes.push(0)), BinarizerFileError::Length { .. }));
    let huge = read(&|bytes| bytes[16..24].fill(0xff));
    assert!(huge.to_string().contains("number of dimensions"), "{huge}");

    let mut parts = random_parts(70, 64, Levels::TWO, 3);
    parts.first.delta[5] = f32::NAN;
    assert_eq!(Recurrent::new(parts).unwrap_err(), RecurrentError::Number("a weight"));
    let mut parts = random_parts(70, 64, Levels::TWO, 3);
    let mut short = translation(90, 70);
    short.map.pop();
    parts.provenance.parent.as_mut().unwrap().translation = Some(short);
    let error = Recurrent::new(parts).unwrap_err().to_string();
    assert_eq!(error, "the translation: the matrix takes 6300 numbers, got 6299");
    let mut parts = random_parts(70, 64, Levels::TWO, 3);
    parts.loops[0].rebuild.bias.pop();
    let error = Recurrent::new(parts).unwrap_err().to_string();
    assert_eq!(error, "B: the bias takes 70 numbers, got 69");
    let error = Recurrent::new(random_parts(70, 192, Levels::ONE, 0)).unwrap_err().to_string();
    assert_eq!(error, "code of 192 dimensions is longer than embeddings of 70");
}

proptest! {
    #[test]
    fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400), cut in 0_usize..2000) {
        prop_assert!(Recurrent::from_bytes(&bytes).is_err());
        let good = Recurrent::new(random_parts(64, 64, Levels::ONE, 0)).unwrap().to_bytes();
        prop_assert!(Recurrent::from_bytes(&good[..cut.min(good.len() - 1)]).is_err());
        let mut header = good[..120].to_vec();
        header.extend_from_slice(&bytes);
        prop_assert!(Recurrent::from_bytes(&header).is_err());
    }
}
