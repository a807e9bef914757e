//! Which vector instructions the fused engine uses: all that it has kernels for and this machine has, or
//! fewer of them where the variable `SAEGRID_CPU` says so.
//!
//! They decide in which order sums are taken, and so the last bits of results: these are the same on all
//! machines with the same [`features`]. `SAEGRID_CPU=avx2` leaves AVX-512 and AMX out, so that machines
//! with and without them come to the same bits.
//!
//! The reference engine uses what dfdx does: AVX2 and FMA where there are any, and nothing beyond. Convolutions,
//! which dfdx has none of here, use what the fused engine does.

use std::sync::LazyLock;

use pulp::Arch;

/// The variable.
pub const VARIABLE: &str = "SAEGRID_CPU";

/// The most that may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    Avx2,
    None,
}

/// What the variable says.
///
/// # Errors
/// If it is a word that is not known.
fn limit(said: Option<&str>) -> Result<Limit, String> {
    match said {
        Some("avx2") => Ok(Limit::Avx2),
        None | Some("") => Ok(Limit::None),
        Some(other) => Err(format!("`{VARIABLE}` is `{other}`; it may be `avx2`, or not be set")),
    }
}

/// Checks the variable.
///
/// # Errors
/// If it is a word that is not known.
pub fn check() -> Result<(), String> {
    let said = std::env::var_os(VARIABLE).map(|said| said.to_string_lossy().into_owned());
    limit(said.as_deref()).map(drop)
}

/// Whether AVX-512 and what is beyond it may be used, where there is any. A word that is not known is
/// taken for a limit: [`check`] has told of it.
pub fn allows_avx512() -> bool {
    static ALLOWED: LazyLock<bool> =
        LazyLock::new(|| std::env::var_os(VARIABLE).is_none_or(|said| said.is_empty()));
    *ALLOWED
}

/// The instruction set that loops over rows are dispatched to.
pub(crate) fn arch() -> Arch {
    #[cfg(target_arch = "x86_64")]
    if !allows_avx512() {
        return pulp::x86::V3::try_new().map_or(Arch::Scalar, Arch::V3);
    }
    Arch::new()
}

/// The vector instructions that are used and decide how sums are ordered.
pub fn features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        let wide = allows_avx512();
        let all = [
            ("sse2", true),
            ("avx", is_x86_feature_detected!("avx")),
            ("avx2", is_x86_feature_detected!("avx2")),
            ("fma", is_x86_feature_detected!("fma")),
            ("avx512f", wide && is_x86_feature_detected!("avx512f")),
            ("avx512bw", wide && is_x86_feature_detected!("avx512bw")),
            ("avx512cd", wide && is_x86_feature_detected!("avx512cd")),
            ("avx512dq", wide && is_x86_feature_detected!("avx512dq")),
            ("avx512vl", wide && is_x86_feature_detected!("avx512vl")),
            ("avx512bf16", wide && is_x86_feature_detected!("avx512bf16")),
            ("amx-bf16", wide && crate::fused::bf16_product() == "amx-bf16"),
        ];
        all.into_iter().filter_map(|(name, is_used)| is_used.then_some(name)).collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if a misspelt word were taken for no limit: results would not be what was asked for.
    #[test]
    fn only_known_words_are_taken() {
        assert_eq!(limit(Some("avx2")), Ok(Limit::Avx2));
        assert_eq!((limit(None), limit(Some(""))), (Ok(Limit::None), Ok(Limit::None)));
        assert!(limit(Some("avx-2")).unwrap_err().contains("`avx-2`"));
    }

    #[test]
    fn what_is_used_is_what_there_is() {
        let used = features();
        let is_wide = used.contains(&"avx512f") && used.contains(&"avx512vl");
        #[cfg(target_arch = "x86_64")]
        assert_eq!(matches!(arch(), Arch::V4(_)), is_wide && allows_avx512(), "{used:?}");
        #[cfg(not(target_arch = "x86_64"))]
        assert!(!is_wide);
    }
}
