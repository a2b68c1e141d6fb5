//! Transitions by action.
