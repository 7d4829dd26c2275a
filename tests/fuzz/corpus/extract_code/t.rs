use std::fmt;

#[derive(Debug)]
pub struct Foo<'a> { x: &'a str,
}

impl<'a> fmt::Display for Foo<'a> {
    fn fmt(&self) -> R {
        Ok(())
    }
}

pub async fn go<T>(x: T) -> u32
where T: Copy,
{
    1
}
