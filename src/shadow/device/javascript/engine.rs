//! The JavaScript interpreter. The only file that knows it: texts go in and come out, nothing of
//! the interpreter outlives a call.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rquickjs::context::EvalOptions;
use rquickjs::{Context, Ctx, Error, Function, Object, Persistent, Runtime, Value};

use super::answer::Failure;
use crate::shadow::device::definitions::KEYS;
use crate::shadow::device::script::Script;
use crate::text::shortened;

/// `require`, `console` and `process`, and the questions that are asked of a definition.
const PRELUDE: &str = include_str!("prelude.js");

/// What a definition says in one call: so many lines, and so many characters in each.
const MOST_LINES: usize = 100;
const LONGEST_LINE: usize = 1000;

/// What a call may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub time: Duration,
    pub memory: usize,
    pub stack: usize,
}

#[derive(Clone, Debug)]
pub enum ScriptCall {
    /// What does it export?
    Load,
    /// What does `validate` say about this configuration, in JSON?
    Validate(String),
}

/// What came of a call.
#[derive(Debug)]
pub struct CallResult {
    /// What the prelude answers: a keyword and its texts.
    pub answer: Result<Vec<String>, Failure>,
    pub said: Vec<ScriptLine>,
}

/// A line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptLine {
    pub level: Level,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

type Lines = Rc<RefCell<Vec<ScriptLine>>>;

/// What is thrown when the time is over needs a little memory itself. Without it a definition that
/// catches everything while the memory is full would run for ever.
const RESERVE: usize = 64 * 1024;

/// Shared with the interrupt handler.
#[derive(Clone, Default)]
struct Clock {
    late: Rc<Cell<bool>>,
    reserve: Rc<RefCell<Option<Persistent<rquickjs::String<'static>>>>>,
}

/// Runs one task in an interpreter of its own. `environment` is a JSON object.
///
/// The time limit is looked at every ten thousand steps of the interpreter: it ends loops, recursion
/// and regular expressions, but not one long step inside the interpreter. The memory limit and the
/// prelude bound most of those; for the rest the caller has a deadline of its own.
pub fn run(script: &Script, environment: &str, task: &ScriptCall, limits: &Limits) -> CallResult {
    let said = Lines::default();
    let clock = Clock::default();
    let answer = interpreter(limits, &clock).and_then(|context| {
        let answer = context.with(|ctx| {
            clock.set_aside(&ctx)?;
            asked(&ctx, script, environment, task, &said)
        });
        // Nothing of an interpreter may outlive it.
        clock.reserve.take();
        answer
    });
    let answer = match answer {
        // Looked at first: a definition cannot hide that it was interrupted.
        _ if clock.late.get() => Err(Failure::Late(limits.time)),
        Err(Failure::Memory(_)) => Err(Failure::Memory(limits.memory)),
        Ok(answer) if answer == ["limit", "memory"] => Err(Failure::Memory(limits.memory)),
        Ok(answer) if answer == ["limit", "stack"] => Err(Failure::Stack),
        other => other,
    };
    CallResult {
        answer,
        said: said.take(),
    }
}

fn interpreter(limits: &Limits, clock: &Clock) -> Result<Context, Failure> {
    let runtime = Runtime::new().map_err(|error| internal(&error))?;
    runtime.set_memory_limit(limits.memory);
    runtime.set_max_stack_size(limits.stack);
    let (clock, deadline) = (clock.clone(), Instant::now() + limits.time);
    runtime.set_interrupt_handler(Some(Box::new(move || clock.is_over(deadline))));
    Context::full(&runtime).map_err(|error| internal(&error))
}

impl Clock {
    fn set_aside(&self, ctx: &Ctx<'_>) -> Result<(), Failure> {
        let reserve = rquickjs::String::from_str(ctx.clone(), &" ".repeat(RESERVE))
            .map_err(|error| internal(&error))?;
        self.reserve.replace(Some(Persistent::save(ctx, reserve)));
        Ok(())
    }

    fn is_over(&self, deadline: Instant) -> bool {
        if Instant::now() >= deadline {
            self.late.set(true);
            self.reserve.take();
        }
        self.late.get()
    }
}

fn asked(
    ctx: &Ctx<'_>,
    script: &Script,
    environment: &str,
    task: &ScriptCall,
    said: &Lines,
) -> Result<Vec<String>, Failure> {
    let (word, input) = match task {
        ScriptCall::Load => ("load", ""),
        ScriptCall::Validate(configuration) => ("validate", configuration.as_str()),
    };
    let answer = host(ctx, script, environment, said).and_then(|host| {
        let prelude: Function = ctx.eval_with_options(PRELUDE, options("chariotd"))?;
        prelude.call((host, script.file.as_str(), word, input))
    });
    answer.map_err(|error| match error {
        Error::Exception => uncaught(&ctx.catch()),
        other => internal(&other),
    })
}

/// What the prelude may ask of us.
fn host<'js>(
    ctx: &Ctx<'js>,
    script: &Script,
    environment: &str,
    said: &Lines,
) -> Result<Object<'js>, Error> {
    let host = Object::new(ctx.clone())?;
    let sources = Arc::clone(&script.sources);
    let source = move |name: String| sources.get(&name).cloned();
    host.set("source", Function::new(ctx.clone(), source)?)?;
    let sources = Arc::clone(&script.sources);
    let fault = move |name: String| sources.get(&name).and_then(|text| fault(text));
    host.set("fault", Function::new(ctx.clone(), fault)?)?;
    host.set("compile", Function::new(ctx.clone(), compile)?)?;
    let lines = Rc::clone(said);
    let say = move |level: String, text: String| note(&mut lines.borrow_mut(), &level, &text);
    host.set("say", Function::new(ctx.clone(), say)?)?;
    let environment = environment.to_owned();
    let environment = move || environment.clone();
    host.set("environment", Function::new(ctx.clone(), environment)?)?;
    host.set("keys", KEYS.to_vec())?;
    Ok(host)
}

/// What is wrong with JSON, with line and column.
fn fault(text: &str) -> Option<String> {
    let parsed: Result<serde_json::Value, _> = serde_json::from_str(text);
    parsed.err().map(|error| error.to_string())
}

/// Evaluates `text`; its errors and stack traces name `file`.
fn compile<'js>(ctx: Ctx<'js>, file: String, text: String) -> Result<Value<'js>, Error> {
    ctx.eval_with_options(text, options(&file))
}

fn options(file: &str) -> EvalOptions {
    let mut options = EvalOptions::default();
    // As in node: strict is what says so itself.
    options.strict = false;
    options.filename = Some(file.to_owned());
    options
}

fn note(lines: &mut Vec<ScriptLine>, level: &str, text: &str) {
    let level = match level {
        "error" => Level::Error,
        "warn" => Level::Warn,
        "debug" => Level::Debug,
        _ => Level::Info,
    };
    let room = MOST_LINES.saturating_sub(lines.len());
    let text = match room {
        0 => return,
        1 => format!("prints more than {MOST_LINES} lines, the rest is dropped"),
        _ => shortened(text, LONGEST_LINE),
    };
    lines.push(ScriptLine { level, text });
}

/// The prelude catches what a definition throws. What it cannot catch is the end of the time, or
/// of the memory: then there is none left even to report it.
fn uncaught(thrown: &Value<'_>) -> Failure {
    let message = thrown.as_exception().and_then(|thrown| thrown.message());
    match message {
        Some(message) if message != "out of memory" => {
            Failure::Internal(shortened(&message, LONGEST_LINE))
        }
        _ => Failure::Memory(0),
    }
}

fn internal(error: &Error) -> Failure {
    match error {
        Error::Allocation => Failure::Memory(0),
        other => Failure::Internal(shortened(&other.to_string(), LONGEST_LINE)),
    }
}
