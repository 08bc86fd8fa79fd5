//! The configuration as an operator meets it: the example loads, every mistake is told with its place and its mend, the
//! published schema says the same as the program.

#[cfg(test)]
mod documents;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod loads;
#[cfg(test)]
mod schema;
