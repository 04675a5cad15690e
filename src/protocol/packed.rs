//! What a session or its null searches look at, as bytes for another machine: candles up to the split, terms, and nothing of
//! what comes after it.
//!
//! Whoever reads it has exactly the candles that the session has; digests are for whoever carries it.

use super::ground::{Ground, RankingGround, RulesGround};
use super::refits::{pack, unpack};
use super::run::RunError;
use super::world::{RankingHalves, RulesHalves};
use super::{MarketEvaluator, Searchable, SearchablePanel};
use candles::packed::{PackedError, Packer, Unpacker};
use engine::{Engine, Terms, Window};
use genome::variation::RankingVariation;
use portfolio::{Panel, PortfolioTerms};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Format of the bytes; another number is not read.
const FORMAT: u64 = 2;

/// What a session searches, unpacked.
#[derive(Debug)]
pub struct PackedGround {
    what: What,
}

#[derive(Debug)]
enum What {
    Rules {
        market: Searchable,
        engine: Arc<Engine>,
        terms: Terms,
    },
    Ranking {
        searchable: SearchablePanel,
        terms: PortfolioTerms,
        variation: RankingVariation,
        market: Arc<MarketEvaluator>,
    },
}

/// Terms of rankings, as they are packed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RankingTerms {
    terms: PortfolioTerms,
    variation: RankingVariation,
}

fn json<T: Serialize>(value: &T) -> Result<String, PackedError> {
    serde_json::to_string(value).map_err(|error| PackedError(error.to_string()))
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, PackedError> {
    serde_json::from_str(text).map_err(|error| PackedError(error.to_string()))
}

fn begun(form: &str) -> Packer {
    let mut packer = Packer::default();
    packer.number(FORMAT);
    packer.text(form);
    packer
}

impl<E> RulesHalves<E> {
    /// What is searched. Null searches have no finer candles, so none are packed for them.
    pub(super) fn packed_ground(&self, with_finer: bool) -> Result<Vec<u8>, PackedError> {
        let (split, terms) = self.parts();
        let mut packer = begun("rules");
        packer.text(&json(&terms)?);
        let window = split.searchable.window();
        if with_finer {
            window.pack(&mut packer)?
        } else {
            window.without_finer().pack(&mut packer)?
        }
        pack(&mut packer, split.searchable.refits().map(|refits| &**refits));
        Ok(packer.finish())
    }
}

impl RankingHalves {
    /// What is searched, by null searches, too.
    pub(super) fn packed_ground(&self) -> Result<Vec<u8>, PackedError> {
        let (split, terms, variation) = self.parts();
        pack_ranking(&split.searchable, terms, variation)
    }
}

/// A market that is ranked up to its split, with terms and what is bred, as bytes for another machine.
///
/// # Errors
/// Where terms have no JSON form.
pub fn pack_ranking(
    searchable: &SearchablePanel,
    terms: PortfolioTerms,
    variation: &RankingVariation,
) -> Result<Vec<u8>, PackedError> {
    let (from_ms, to_ms) = searchable.window_ms();
    let mut packer = begun("ranking");
    packer.text(&json(&RankingTerms { terms, variation: variation.clone() })?);
    packer.time(from_ms);
    packer.time(to_ms);
    searchable.panel().pack(&mut packer);
    pack(&mut packer, searchable.refits().map(|refits| &**refits));
    Ok(packer.finish())
}

impl PackedGround {
    /// Reads what a session packed.
    ///
    /// # Errors
    /// Where the bytes are none of it, or of another format.
    pub fn read(bytes: &[u8], engine: Arc<Engine>) -> Result<Self, RunError> {
        let mut from = Unpacker::new(bytes);
        let format = from.number()?;
        if format != FORMAT {
            return Err(PackedError(format!("they have format {format}, where {FORMAT} is read")).into());
        }
        let what = match from.text()? {
            "rules" => Self::rules(&mut from, engine)?,
            "ranking" => Self::ranking(&mut from)?,
            other => return Err(PackedError(format!("{other:?} is no form of strategy")).into()),
        };
        from.end()?;
        Ok(Self { what })
    }

    fn rules(from: &mut Unpacker<'_>, engine: Arc<Engine>) -> Result<What, RunError> {
        let terms = read(from.text()?)?;
        let market = Searchable::restored(Window::unpack(from)?, unpack(from)?);
        Ok(What::Rules { market, engine, terms })
    }

    fn ranking(from: &mut Unpacker<'_>) -> Result<What, RunError> {
        let RankingTerms { terms, variation } = read(from.text()?)?;
        let (from_ms, to_ms) = (from.time()?, from.time()?);
        let panel = Arc::new(Panel::unpack(from)?);
        let refits = unpack(from)?;
        if panel.end_ms() > to_ms {
            return Err(PackedError("the market goes on after the split".into()).into());
        }
        let market = Arc::new(MarketEvaluator::new(Arc::clone(&panel), (from_ms, to_ms), terms)?);
        Ok(What::Ranking {
            searchable: SearchablePanel::restored(panel, (from_ms, to_ms), refits),
            terms,
            variation,
            market,
        })
    }

    /// A market that is ranked, and the terms; `None` for strategies of rules.
    #[must_use]
    pub const fn ranked(&self) -> Option<(&SearchablePanel, PortfolioTerms)> {
        match &self.what {
            What::Rules { .. } => None,
            What::Ranking { searchable, terms, .. } => Some((searchable, *terms)),
        }
    }

    /// What is searched.
    #[must_use]
    pub fn ground(&self) -> Box<dyn Ground + '_> {
        match &self.what {
            What::Rules { market, engine, terms } => {
                let ground: RulesGround<'_> = market.ground(engine, terms);
                Box::new(ground)
            }
            What::Ranking { searchable, terms, variation, market } => {
                Box::new(RankingGround::on(searchable, *terms, variation, Arc::clone(market)))
            }
        }
    }
}
