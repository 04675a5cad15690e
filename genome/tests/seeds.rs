//! What a seed draws stays what it was, whatever is added to the language.

use genome::random::Seed;
use genome::variation::{VariationConfig, crossover, mutate, random};

#[test]
fn seeds_draw_what_they_drew() {
    let config = VariationConfig { recovery_probability: 0.1, max_leverage: 5.0, ..VariationConfig::default() };
    let mut rng = Seed(14).stream("seeds", 0);
    let mut texts = String::new();
    let mut before = random(&config, &mut rng);
    for _ in 0..2000 {
        let fresh = random(&config, &mut rng);
        let mutant = mutate(&before, &config, &mut rng);
        let child = crossover(&mutant, &fresh, &config, &mut rng);
        for strategy in [&fresh, &mutant, &child] {
            texts.push_str(&strategy.hash().to_string());
        }
        before = child;
    }
    // FNV-1a of the hashes.
    let digest = texts.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    assert_eq!(
        digest, 757_668_051_088_088_358,
        "a seed draws something else: stored sessions can no longer be replayed"
    );
}
