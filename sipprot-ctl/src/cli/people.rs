//! `sipprot user` and `sipprot token`.

use std::io::{IsTerminal, stdin};
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};

use super::args::duration;
use super::change::operator;
use super::client::query;
use super::lists::time;
use super::table::{Align, Table};
use super::{CliError, Context};
use crate::api::{
    Done, EditUser, MadeToken, NewToken, NewUser, Right, Role, Secret, TokensAnswer, UsersAnswer,
};

#[derive(ClapArgs, Debug)]
pub struct User {
    #[command(subcommand)]
    pub verb: UserVerb,
}

#[derive(Subcommand, Debug)]
pub enum UserVerb {
    /// Add a user. The password is asked for, or read from stdin where that is no terminal.
    Add {
        name: String,
        /// admin, or viewer, who changes nothing.
        #[arg(long, value_parser = role, default_value = "viewer")]
        role: Role,
    },
    /// Print who may log in.
    List,
    /// Give a user another role or password. A new password ends the user's logins.
    Edit {
        name: String,
        /// admin or viewer.
        #[arg(long, value_parser = role, required_unless_present_any = ["password", "end_logins"])]
        role: Option<Role>,
        /// Ask for a new password, or read it from stdin where that is no terminal.
        #[arg(long)]
        password: bool,
        /// Whoever is logged in by this name has to log in again.
        #[arg(long)]
        end_logins: bool,
    },
    /// Remove a user, and end the user's logins.
    Remove { name: String },
}

#[derive(ClapArgs, Debug)]
pub struct Token {
    #[command(subcommand)]
    pub verb: TokenVerb,
}

#[derive(Subcommand, Debug)]
pub enum TokenVerb {
    /// Make a token for a program, and print it; it is shown this once.
    Add {
        name: String,
        /// read (look at everything), lists (edit lists and blocks, too) or admin.
        #[arg(long, value_parser = right, default_value = "read")]
        scope: Right,
        /// How long it holds, such as 90d; for good otherwise.
        #[arg(long = "for", value_name = "TIME", value_parser = duration)]
        time: Option<Duration>,
    },
    /// Print the tokens there are, and when each was used last.
    List,
    /// Make a token useless.
    Revoke { name: String },
}

fn role(text: &str) -> Result<Role, String> {
    Role::from_name(text).ok_or_else(|| "expected admin or viewer".to_owned())
}

fn right(text: &str) -> Result<Right, String> {
    Right::from_name(text).ok_or_else(|| "expected read, lists or admin".to_owned())
}

pub(super) fn user(context: &Context, verb: UserVerb) -> Result<(), CliError> {
    let client = context.client()?;
    let done: Done = match verb {
        UserVerb::List => {
            let users: UsersAnswer = client.get("/users")?;
            return context.print(&users, users_table);
        }
        UserVerb::Add { name, role } => {
            let password = new_password(&name)?;
            client.post("/users", &NewUser { name, role, password, by: operator() })?
        }
        UserVerb::Edit { name, role, password, end_logins } => {
            let password = password.then(|| new_password(&name)).transpose()?;
            let edit = EditUser { role, password, end_logins, by: operator() };
            client.patch(&place("users", &name)?, &edit)?
        }
        UserVerb::Remove { name } => {
            let by = query(&[("by", Some(&operator()))]);
            client.delete(&(place("users", &name)? + &by))?
        }
    };
    context.print(&done, |done| format!("{}\n", done.message))
}

pub(super) fn token(context: &Context, verb: TokenVerb) -> Result<(), CliError> {
    let client = context.client()?;
    match verb {
        TokenVerb::List => {
            let tokens: TokensAnswer = client.get("/tokens")?;
            context.print(&tokens, tokens_table)
        }
        TokenVerb::Add { name, scope, time } => {
            let expires_in_s = time.map(|time| time.as_secs());
            let new = NewToken { name, scope, expires_in_s, by: operator() };
            let made: MadeToken = client.post("/tokens", &new)?;
            // The token alone on stdout, so that a script can take it.
            if !context.json {
                eprintln!("The token {}; it is shown this once:", made.name);
            }
            context.print(&made, |made| format!("{}\n", made.token.0))
        }
        TokenVerb::Revoke { name } => {
            let by = query(&[("by", Some(&operator()))]);
            let done: Done = client.delete(&(place("tokens", &name)? + &by))?;
            context.print(&done, |done| format!("{}\n", done.message))
        }
    }
}

/// Of a user or token. What is no name at all must not become another path.
fn place(kind: &str, name: &str) -> Result<String, CliError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_@".contains(&byte);
    if name.is_empty() || name.starts_with('.') || !name.bytes().all(plain) {
        return Err(CliError::Usage(format!("{name:?} is no name")));
    }
    Ok(format!("/{kind}/{name}"))
}

/// Never an argument: every user of the host could read it.
fn new_password(name: &str) -> Result<Secret, CliError> {
    let failed = |error: std::io::Error| CliError::Failed(format!("no password: {error}"));
    if !stdin().is_terminal() {
        let mut line = String::new();
        stdin().read_line(&mut line).map_err(failed)?;
        return Ok(Secret(line.trim_end_matches(['\r', '\n']).to_owned()));
    }
    let ask = |text: String| rpassword::prompt_password(text).map_err(failed);
    let password = ask(format!("New password for {name}, at least 12 characters: "))?;
    if password != ask("Once more: ".to_owned())? {
        return Err(CliError::Failed("the two are not the same".to_owned()));
    }
    Ok(Secret(password))
}

fn users_table(answer: &UsersAnswer) -> String {
    let mut table = Table::new([
        ("NAME", Align::Left),
        ("ROLE", Align::Left),
        ("SINCE", Align::Left),
        ("ADDED BY", Align::Left),
        ("LAST LOGIN", Align::Left),
        ("LOGINS", Align::Right),
    ]);
    for user in &answer.users {
        table.row([
            user.name.clone(),
            user.role.name().to_owned(),
            time(user.created_at),
            user.created_by.clone(),
            user.last_login_at.map(time).unwrap_or_default(),
            user.sessions.to_string(),
        ]);
    }
    table.render()
}

fn tokens_table(answer: &TokensAnswer) -> String {
    let mut table = Table::new([
        ("NAME", Align::Left),
        ("SCOPE", Align::Left),
        ("SINCE", Align::Left),
        ("ADDED BY", Align::Left),
        ("EXPIRES", Align::Left),
        ("LAST USED", Align::Left),
    ]);
    for token in &answer.tokens {
        table.row([
            token.name.clone(),
            token.scope.name().to_owned(),
            time(token.created_at),
            token.created_by.clone(),
            token.expires_at.map(time).unwrap_or_default(),
            token.last_used_at.map(time).unwrap_or_default(),
        ]);
    }
    table.render()
}
