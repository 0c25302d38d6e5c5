//! Taps: activations inside the forward pass.
use crate::{raw, Result, Session};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ffi::{c_void, CStr};
use std::marker::PhantomData;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::rc::Rc;
use std::{fmt, slice};

/// A point inside the forward pass.  t is the number of new tokens, past the number of positions
/// before them.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TapKind {
    /// `embed`, [t, n_embd]: the token's embedding plus the position's.
    Embed = 0,
    /// `h.N.ln_1`, [t, n_embd]: the first norm.
    Ln1,
    /// `h.N.attn.qkv`, [t, (n_head + 2 n_kv_head) head_dim]: queries, keys, values side by side.
    AttnQkv,
    /// `h.N.attn.scores`, [n_head, t, past + t]: q·k scaled, -inf where masked.
    AttnScores,
    /// `h.N.attn.probs`, [n_head, t, past + t]: softmax of the scores.
    AttnProbs,
    /// `h.N.attn.ctx`, [t, n_embd]: probs·v, heads side by side.
    AttnCtx,
    /// `h.N.attn.out`, [t, n_embd]: c_proj, before the residual.
    AttnOut,
    /// `h.N.ln_2`, [t, n_embd]: the second norm.
    Ln2,
    /// `h.N.mlp.fc`, [t, n_inner]: c_fc.
    MlpFc,
    /// `h.N.mlp.act`, [t, n_inner]: its activation function.
    MlpAct,
    /// `h.N.mlp.out`, [t, n_embd]: c_proj, before the residual.
    MlpOut,
    /// `h.N.block`, [t, n_embd]: the output of the block.
    Block,
    /// `ln_f`, [t, n_embd]: the final norm, of rows whose logits are wanted.
    LnF,
    /// `logits`, [t, n_vocab]: of rows whose logits are wanted.
    Logits,
}

impl TapKind {
    /// All kinds, in the order of the forward pass.
    pub const ALL: [TapKind; 14] = {
        use TapKind::*;
        [
            Embed, Ln1, AttnQkv, AttnScores, AttnProbs, AttnCtx, AttnOut, Ln2, MlpFc, MlpAct,
            MlpOut, Block, LnF, Logits,
        ]
    };
}

/// A part of an activation: rows are tokens of one sequence.  Scores and probs of each head come in
/// parts of at most 64 rows.
pub struct Tap<'a>(&'a raw::gpt2_tap, TapKind, PhantomData<&'a mut f32>);

impl Tap<'_> {
    /// Which point it is of.
    pub fn kind(&self) -> TapKind {
        self.1
    }

    /// The block, from 0; None for `embed`, `ln_f` and `logits`.
    pub fn layer(&self) -> Option<usize> {
        usize::try_from(self.0.layer).ok()
    }

    /// The head, from 0, of scores and probs.
    pub fn head(&self) -> Option<usize> {
        usize::try_from(self.0.head).ok()
    }

    /// Hugging Face's name of the point with its block, such as "h.3.attn.qkv".
    pub fn name(&self) -> String {
        let mut name = [0u8; 32]; // always enough
        let text = name.as_mut_ptr().cast();
        unsafe { raw::gpt2_tap_name(self.0.kind, self.0.layer, text, name.len()) };
        let name = CStr::from_bytes_until_nul(&name).unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// The [`number`](crate::Sequence::number) of the sequence whose rows they are.
    pub fn sequence(&self) -> i32 {
        self.0.sequence
    }

    /// The part's first token, counted in this call's tokens of the sequence; below 0 for one of an
    /// earlier call.
    pub fn first_row(&self) -> i32 {
        self.0.first_row
    }

    /// The position in the text of the part's first token.
    pub fn first_position(&self) -> usize {
        self.0.first_position as usize
    }

    /// The number of rows.
    pub fn n_rows(&self) -> usize {
        self.0.n_rows as usize
    }

    /// The number of values in a row.
    pub fn n_columns(&self) -> usize {
        self.0.n_columns as usize
    }

    /// The values of a row.  Panics if there is no such row.
    pub fn row(&self, row: usize) -> &[f32] {
        unsafe { slice::from_raw_parts(self.start_of(row), self.n_columns()) }
    }

    /// The values of a row, which may be changed.  Panics if there is no such row.
    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        unsafe { slice::from_raw_parts_mut(self.start_of(row), self.n_columns()) }
    }

    fn start_of(&self, row: usize) -> *mut f32 {
        let n = self.n_rows();
        assert!(row < n, "row is {row}, wanted below {n}");
        unsafe { self.0.data.add(row * self.0.row_stride) }
    }
}

impl fmt::Debug for Tap<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Tap")
            .field("name", &self.name())
            .field("head", &self.head())
            .field("sequence", &self.sequence())
            .field("first_position", &self.first_position())
            .field("shape", &[self.n_rows(), self.n_columns()])
            .finish()
    }
}

type Show = dyn FnMut(&mut Tap) -> bool + Send;

/// The callback of a session, and the panic that has left it.
pub(crate) struct TapState {
    show: RefCell<Box<Show>>,
    panic: Cell<Option<Box<dyn Any + Send>>>,
}

impl TapState {
    pub(crate) fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        self.panic.take()
    }
}

/// A gpt2_tap_callback, whose `user` is a TapState.
unsafe extern "C" fn show_tap(user: *mut c_void, tap: *const raw::gpt2_tap) -> i32 {
    let (state, raw) = unsafe { (&*user.cast::<TapState>(), &*tap) };
    let show = || {
        let kind = TapKind::ALL[raw.kind as usize]; // one of those that were asked for
        (state.show.borrow_mut())(&mut Tap(raw, kind, PhantomData))
    };
    match catch_unwind(AssertUnwindSafe(show)) {
        Ok(goes_on) => i32::from(!goes_on),
        Err(panic) => {
            state.panic.set(Some(panic));
            1
        }
    }
}

impl Session {
    /// From now on, `show` sees the activations of these kinds, and may change them.  False ends the
    /// call with [`status::CANCELLED`](crate::status::CANCELLED).  If it panics, the panic goes on
    /// behind the call.  It runs on the thread of the call.
    ///
    /// ```
    /// use gpt2::TapKind;
    /// # let model = gpt2::Model::load("../demo-model")?;
    /// # let mut session = model.session(1)?;
    /// session.set_tap(&[TapKind::AttnOut], |tap| {
    ///     if tap.layer() == Some(1) {
    ///         (0..tap.n_rows()).for_each(|row| tap.row_mut(row).fill(0.0)); // without its attention
    ///     }
    ///     true
    /// })?;
    /// session.forward(&[1, 2, 3])?;
    /// # Ok::<(), gpt2::Error>(())
    /// ```
    ///
    /// It is kept until the next call of this function, so it borrows nothing that does not stay:
    ///
    /// ```compile_fail
    /// # let model = gpt2::Model::load("../demo-model")?;
    /// # let mut session = model.session(1)?;
    /// let mut n = 0;
    /// session.set_tap(&gpt2::TapKind::ALL, |_| { n += 1; true })?;
    /// # Ok::<(), gpt2::Error>(())
    /// ```
    pub fn set_tap(
        &mut self,
        kinds: &[TapKind],
        show: impl FnMut(&mut Tap) -> bool + Send + 'static,
    ) -> Result<()> {
        let state = Rc::new(TapState {
            show: RefCell::new(Box::new(show)),
            panic: Cell::new(None),
        });
        let bits = kinds.iter().fold(0, |bits, kind| bits | 1 << *kind as u32);
        let (session, user) = (self.raw.as_ptr(), Rc::as_ptr(&state).cast_mut().cast());
        self.check(unsafe { raw::gpt2_session_set_tap(session, Some(show_tap), user, bits) })?;
        self.tap = Some(state);
        Ok(())
    }

    /// Removes what [`set_tap`](Session::set_tap) has set.
    pub fn clear_tap(&mut self) -> Result<()> {
        let (session, user) = (self.raw.as_ptr(), std::ptr::null_mut());
        self.check(unsafe { raw::gpt2_session_set_tap(session, None, user, 0) })?;
        self.tap = None;
        Ok(())
    }
}
