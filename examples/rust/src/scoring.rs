//! Scores of given tokens.
use crate::{params, raw, Error, Result, Sequence, Session, TokenLogprob};

/// One sequence's part of [`Session::score`].
#[derive(Debug, Clone, Copy)]
pub struct ScoreItem<'a> {
    pub sequence: &'a Sequence,
    /// Two or more.  All but the last are appended to the sequence.
    pub tokens: &'a [i32],
    /// How many first tokens are not scored, one or more.
    pub n_prefix: usize,
}

/// What a score tells besides probability, rank and entropy.
#[derive(Debug, Clone, Default)]
pub struct ScoreParams {
    /// How many of the likeliest tokens to tell at each place.
    pub n_likeliest: usize,
    /// For each token of the vocabulary, whether it is in a class, such as those that begin a word.
    /// Empty: no class.
    pub class: Vec<bool>,
}

/// What the model says about one token, given all tokens before it.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenScore {
    pub id: i32,
    /// 1 + the number of tokens with larger logits.
    pub rank: i32,
    /// Natural logarithm of its probability.
    pub logprob: f64,
    /// Of the distribution that the token is from, in nats.
    pub entropy: f64,
    /// Probability that the token is in the class; 0 without a class.
    pub class_prob: f64,
    /// The likeliest first.
    pub likeliest: Vec<TokenLogprob>,
}

/// Bit id % 8 of byte id / 8 is for token id.
fn mask_of(class: &[bool]) -> Vec<u8> {
    let byte = |bits: &[bool]| {
        bits.iter()
            .rev()
            .fold(0, |byte, bit| byte << 1 | u8::from(*bit))
    };
    class.chunks(8).map(byte).collect()
}

impl Session<'_> {
    /// How likely the model finds each token behind the prefix, given those before it: `[item][i]`
    /// is about `tokens[n_prefix + i]`.  Many sequences run together; each gets the bits that it
    /// gets alone.  The last token of an item does not run, so a text can be scored in parts, each
    /// of which begins with the last token of the one before.  All or nothing: if it fails, every
    /// sequence is as before.
    ///
    /// ```
    /// # let model = gpt2::Model::load("../demo-model")?;
    /// # let mut session = model.session(1)?;
    /// let mut tokens = vec![model.info().eot_token];
    /// tokens.extend(model.tokenizer().unwrap().encode("It was a long way")?);
    /// let item = gpt2::ScoreItem { sequence: &session.first(), tokens: &tokens, n_prefix: 1 };
    /// let scores = session.score(&[item], &Default::default())?;
    /// println!("{} nats", -scores[0].iter().map(|token| token.logprob).sum::<f64>());
    /// # Ok::<(), gpt2::Error>(())
    /// ```
    pub fn score(
        &mut self,
        items: &[ScoreItem],
        given: &ScoreParams,
    ) -> Result<Vec<Vec<TokenScore>>> {
        let mut params = params(raw::gpt2_score_params_init);
        params.n_likeliest = i32::try_from(given.n_likeliest).unwrap_or(i32::MAX);
        if !given.class.is_empty() && given.class.len() != self.n_vocab {
            let (n, wanted) = (given.class.len(), self.n_vocab);
            return Err(Error::argument(format!(
                "class has {n} values, wanted {wanted} or none"
            )));
        }
        let mask = mask_of(&given.class);
        if !mask.is_empty() {
            params.class_mask = mask.as_ptr();
        }
        // If it is out of range, the library says so, and writes nothing.
        let n_likeliest = given.n_likeliest.min(self.n_vocab);
        let mut rows: Vec<(Vec<raw::gpt2_token_score>, Vec<TokenLogprob>)> = items
            .iter()
            .map(|item| item.tokens.len().saturating_sub(item.n_prefix))
            .map(|n| {
                (
                    vec![Default::default(); n],
                    vec![Default::default(); n * n_likeliest],
                )
            })
            .collect();
        let batch: Vec<raw::gpt2_score_item> = items
            .iter()
            .zip(&mut rows)
            .map(|(item, (scores, likeliest))| {
                Ok(raw::gpt2_score_item {
                    sequence: self.number(item.sequence)?,
                    reserved: 0,
                    tokens: item.tokens.as_ptr(),
                    n_tokens: item.tokens.len(),
                    n_prefix: item.n_prefix,
                    scores: scores.as_mut_ptr(),
                    likeliest: likeliest.as_mut_ptr(),
                })
            })
            .collect::<Result<_>>()?;
        let session = self.with_room();
        self.check(unsafe { raw::gpt2_score(session, batch.as_ptr(), batch.len(), &params) })?;
        let token =
            |(i, score): (usize, &raw::gpt2_token_score), likeliest: &[TokenLogprob]| TokenScore {
                id: score.id,
                rank: score.rank,
                logprob: score.logprob,
                entropy: score.entropy,
                class_prob: score.class_prob,
                likeliest: likeliest[i * n_likeliest..][..n_likeliest].to_vec(),
            };
        let tokens = |(scores, likeliest): &(Vec<_>, Vec<_>)| {
            scores
                .iter()
                .enumerate()
                .map(|score| token(score, likeliest))
                .collect()
        };
        Ok(rows.iter().map(tokens).collect())
    }
}
