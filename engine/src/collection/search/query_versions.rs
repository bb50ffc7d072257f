//! A query's code, for codes of its field's version and for those of the version before.

use bigrain_binarize::{QueryCode, QueryWidth};
use bigrain_types::CodeSpaceId;

use crate::field::{Field, FormerVersion};
use crate::{Error, ErrorKind, Result};

/// One query code, with what its scores mean for codes of each version that may be met. Its planes are
/// the same for both.
#[derive(Clone, Debug)]
pub(super) struct QueryVersions {
    space: CodeSpaceId,
    own: QueryCode,
    former: Option<(CodeSpaceId, QueryCode)>,
}

impl QueryVersions {
    /// Encodes a query as a field does.
    pub fn new(field: &Field, vector: &[f32]) -> Result<Self> {
        let own = field.binarizer.prepare_query(vector, QueryWidth::DEFAULT);
        let own = own.map_err(|error| Error::invalid(error.to_string()))?;
        let crossed = |former: FormerVersion| (former.space, own.clone().crossed(former.crossing));
        let former = field.former.map(crossed);
        Ok(Self { space: field.binarizer.id(), own, former })
    }

    /// Returns the same code for codes of the field before another one alone, of the version that the later
    /// one's binarizer has followed; nothing where it has followed another.
    pub fn of_predecessor(&self, field: &Field, before: &Field) -> Option<Self> {
        let FormerVersion { space, crossing } = field.former?;
        (space == before.binarizer.id()).then(|| {
            let own = self.own.clone().crossed(crossing);
            Self { space, own, former: None }
        })
    }

    /// Returns the code for codes of a space.
    ///
    /// # Errors
    ///
    /// `Internal` for a space that the query was never declared to be comparable with.
    pub fn for_codes_of(&self, space: CodeSpaceId) -> Result<&QueryCode> {
        if space == self.space {
            return Ok(&self.own);
        }
        if let Some((former, crossed)) = &self.former
            && *former == space
        {
            return Ok(crossed);
        }
        let reason = format!("a query of code space {} met codes of {space}", self.space);
        Err(Error::new(ErrorKind::Internal, reason))
    }

    /// Returns the code for codes of the field's own version.
    pub fn own(&self) -> &QueryCode {
        &self.own
    }
}
