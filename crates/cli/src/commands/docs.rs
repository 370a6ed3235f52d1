//! The hidden command that prints `docs/cli.md`.

use std::fmt::Write;

use clap::Arg;

use crate::Outcome;

/// Prints the documentation of all commands.
pub(crate) fn run() -> anyhow::Result<Outcome> {
    print!("{}", markdown(&crate::command())?);
    Ok(Outcome::Done)
}

/// All visible commands with their arguments, as Markdown.
fn markdown(command: &clap::Command) -> Result<String, std::fmt::Error> {
    let mut text = String::from(
        "# Command line\n\nGenerated from the flags by `cargo xtask docs`; not to be edited.\n\n",
    );
    writeln!(text, "{}\n", command.get_about().unwrap_or_default())?;
    writeln!(
        text,
        "stdout is data, stderr is talk. Exit codes: 0, all done; 1, some inputs failed, the rest done, each"
    )?;
    writeln!(
        text,
        "failure named (of `train`: stopped by an error on its way, checkpoints stay; of `check`: problems in the data); 2,\nnothing started (usage, model, recipe, output names); 130, stopped by Ctrl-C.\n"
    )?;
    writeln!(
        text,
        "Environment: `ESRGAN_MODEL`, `ESRGAN_MODELS` and `ESRGAN_THREADS` stand for the flags that name them;"
    )?;
    writeln!(
        text,
        "`ESRGAN_ISA` (`portable`, `neon`, `avx2`, `avx512`, `avx512-bf16`, `amx`) chooses the instruction set; `NO_COLOR` is honoured.\n"
    )?;
    for subcommand in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        section(&mut text, subcommand)?;
    }
    Ok(text)
}

fn section(text: &mut String, command: &clap::Command) -> std::fmt::Result {
    writeln!(text, "## esrgan {}\n", command.get_name())?;
    writeln!(text, "{}.\n", command.get_about().unwrap_or_default())?;
    writeln!(text, "| argument | meaning |\n|---|---|")?;
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
        writeln!(text, "| {} | {} |", signature(argument), meaning(argument))?;
    }
    writeln!(text)
}

/// How an argument is written, with the name of its value.
fn signature(argument: &Arg) -> String {
    let values =
        argument.get_value_names().filter(|_| argument.get_action().takes_values()).unwrap_or_default();
    let value = values.iter().map(|name| format!(" {name}")).collect::<String>();
    // A bar would end the table's cell.
    let value = value.replace('|', "\\|");
    match (argument.get_short(), argument.get_long()) {
        (Some(short), Some(long)) => format!("`-{short}`, `--{long}{value}`"),
        (None, Some(long)) => format!("`--{long}{value}`"),
        _ => format!("`{}`", value.trim()),
    }
}

fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut text = help.replace("\n\n", ". ").replace('\n', " ").replace('|', "\\|");
    let choices: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter_map(|value| Some(format!("`{}`: {}", value.get_name(), value.get_help()?)))
        .collect();
    if !choices.is_empty() {
        text = format!("{text}. {}", choices.join("; "));
    }
    let defaults: Vec<_> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if argument.get_action().takes_values() && !defaults.is_empty() {
        text = format!("{text} (default `{}`)", defaults.join(" "));
    }
    text
}
