//! Scores of given tokens.
use crate::{params, raw, Error, Result, Sequence, Session, TokenLogprob};

/// One sequence's part of [`Session::score`].
#[derive(Debug, Clone, Copy)]
pub struct ScoreItem<'a> {
    /// The sequence; each at most once in a call.
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
    /// The token.
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

impl ScoreParams {
    /// The library's struct, which borrows `mask`: mask_of() the class.
    fn raw(&self, n_vocab: usize, mask: &[u8]) -> Result<raw::gpt2_score_params> {
        if !self.class.is_empty() && self.class.len() != n_vocab {
            let n = self.class.len();
            let line = format!("class has {n} values, wanted {n_vocab} or none");
            return Err(Error::argument(line));
        }
        let mut raw = params(raw::gpt2_score_params_init);
        raw.n_likeliest = i32::try_from(self.n_likeliest).unwrap_or(i32::MAX);
        if !mask.is_empty() {
            raw.class_mask = mask.as_ptr();
        }
        Ok(raw)
    }
}

impl TokenScore {
    fn new(raw: &raw::gpt2_token_score, likeliest: &[TokenLogprob]) -> TokenScore {
        TokenScore {
            id: raw.id,
            rank: raw.rank,
            logprob: raw.logprob,
            entropy: raw.entropy,
            class_prob: raw.class_prob,
            likeliest: likeliest.to_vec(),
        }
    }
}

impl Session {
    /// How likely the model finds each token behind the prefix, given those before it: `[item][i]`
    /// is about `tokens[n_prefix + i]`.  Many sequences run together; each gets the bits that it
    /// gets alone.  The last token of an item does not run, so a text can be scored in parts, each
    /// of which begins with the last token of the one before.  All or nothing: if it fails, every
    /// sequence is as before.
    ///
    /// ```
    /// # let model = gpt2::Model::load("../demo-model")?;
    /// # let mut session = model.session(1)?;
    /// let mut tokens = vec![model.info().eot_token.unwrap()];
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
        let mask = mask_of(&given.class);
        let params = given.raw(self.n_vocab, &mask)?;
        // If it is out of range, the library says so, and writes nothing.
        let n_likeliest = given.n_likeliest.min(self.n_vocab);
        let mut rows: Vec<(Vec<raw::gpt2_token_score>, Vec<TokenLogprob>)> = items
            .iter()
            .map(|item| item.tokens.len().saturating_sub(item.n_prefix))
            .map(|n| {
                (
                    vec![Default::default(); n],
                    vec![Default::default(); n.saturating_mul(n_likeliest)],
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
        self.check_run(unsafe { raw::gpt2_score(session, batch.as_ptr(), batch.len(), &params) })?;
        let tokens = |(scores, likeliest): &(Vec<_>, Vec<_>)| {
            let row = |i| &likeliest[i * n_likeliest..][..n_likeliest];
            let scores = scores.iter().enumerate();
            scores
                .map(|(i, score)| TokenScore::new(score, row(i)))
                .collect()
        };
        Ok(rows.iter().map(tokens).collect())
    }

    /// How likely `token` is by n_vocab logits of your own, such as those that it was drawn from.
    ///
    /// ```
    /// # let model = gpt2::Model::load("../demo-model")?;
    /// # let mut session = model.session(1)?;
    /// let logits = session.forward(&[1])?.to_vec();
    /// let token = session.sample(&Default::default())?;
    /// let score = session.score_logits(&logits, token, &Default::default())?;
    /// println!("{} nats, rank {}", -score.logprob, score.rank);
    /// # Ok::<(), gpt2::Error>(())
    /// ```
    pub fn score_logits(
        &mut self,
        logits: &[f32],
        token: i32,
        given: &ScoreParams,
    ) -> Result<TokenScore> {
        self.check_length(logits)?;
        let mask = mask_of(&given.class);
        let params = given.raw(self.n_vocab, &mask)?;
        let (session, mut score) = (self.raw.as_ptr(), Default::default());
        // If n_likeliest is out of range, the library says so, and writes nothing.
        let mut likeliest = vec![TokenLogprob::default(); given.n_likeliest.min(self.n_vocab)];
        let (row, to) = (logits.as_ptr(), likeliest.as_mut_ptr());
        self.check(unsafe {
            raw::gpt2_score_logits(session, row, token, &params, &mut score, to)
        })?;
        Ok(TokenScore::new(&score, &likeliest))
    }
}
