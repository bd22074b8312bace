//! Text of a template becomes a parsed, checked [`Template`]; with its data it becomes text again (platform
//! specification, 6.3). What Go's reflection and methods do is prepared here, in the tree: `.ProxyConfig.GetTracing`
//! and `.InterceptionMode.String` become plain members, and `{{ $_ := set $d … }}` becomes an assignment to `$d`.
//!
//! A template cannot run away: every call, every entry of a named template and every byte written is paid for from one
//! budget ([`Budget`]), loops are counted, and recursion is cut off.

mod comments;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use gotmpl::parse::{
    ActionNode, BranchNode, CommandNode, Expr, ListNode, Node, Number, Parser, PipeNode, SmolStr,
};
use gotmpl::{FuncMap, TemplateError, Value};

use crate::budget::Budget;
use crate::functions::{self, Context, STEP};

/// The longest text a template may have; Istio's own are a twentieth of it.
const MAX_SOURCE: usize = 512 * 1024;
/// The longest text a template may make.
const MAX_OUTPUT: usize = 2 * 1024 * 1024;
/// How often all loops together may turn.
const MAX_TURNS: u64 = 200_000;
/// The name of the body that stands outside every `define`.
const MAIN: &str = "inject";

/// A template that was parsed, and whose functions all exist.
#[derive(Debug)]
pub struct Template {
    bodies: Vec<(String, ListNode)>,
    functions: BTreeSet<String>,
}

impl Template {
    /// Reads the text of a template. The error says where and why it is none.
    pub fn parse(source: &str) -> Result<Self, String> {
        if source.len() > MAX_SOURCE {
            return Err(format!("it has {} bytes, more than the {MAX_SOURCE} allowed", source.len()));
        }
        let source = comments::made_plain(source);
        let parsed = Parser::with_name(Some(MAIN), &source, "{{", "}}").and_then(Parser::parse);
        let (main, defines) = parsed.map_err(|error| error.to_string())?;
        let mut template = Self { bodies: Vec::new(), functions: BTreeSet::from([STEP.to_owned()]) };
        template.add(MAIN.to_owned(), main);
        for define in defines {
            template.define(define.name.to_string(), define.body)?;
        }
        if let Some(unknown) = template.functions.iter().find(|name| !functions::exists(name)) {
            return Err(format!("function \"{unknown}\" not defined"));
        }
        Ok(template)
    }

    /// As in Go, an empty body never takes the place of one that is not, and two of the latter are an error.
    fn define(&mut self, name: String, body: ListNode) -> Result<(), String> {
        let Some(known) = self.bodies.iter().position(|(known, _)| *known == name) else {
            self.add(name, body);
            return Ok(());
        };
        // The first node is the one that pays.
        let was_empty =
            self.bodies.get(known).is_some_and(|(_, body)| body.nodes.iter().skip(1).all(gotmpl_is_empty));
        if body.is_empty_tree() {
            return Ok(());
        }
        if !was_empty {
            return Err(format!("multiple definition of template \"{name}\""));
        }
        self.bodies.remove(known);
        self.add(name, body);
        Ok(())
    }

    fn add(&mut self, name: String, mut body: ListNode) {
        let nodes = prepare_list(&mut body, &mut self.functions);
        charge(&mut body, nodes);
        self.bodies.push((name, body));
    }

    /// Runs the template over its data.
    pub(crate) fn render(&self, data: &Value, context: &Arc<Context>) -> Result<String, TemplateError> {
        let functions: FuncMap = functions::bind(&self.functions, context);
        let mut template = gotmpl::Template::new(MAIN).max_range_iters(MAX_TURNS).funcs(functions);
        for (name, body) in &self.bodies {
            template = template.add_parse_tree(name, body.clone());
        }
        let mut output = Output { text: String::new(), budget: context.budget() };
        template.execute_template_fmt(&mut output, MAIN, data).map_err(|error| match error {
            TemplateError::Write => {
                TemplateError::Exec(format!("it makes more than {MAX_OUTPUT} bytes, or works for too long"))
            }
            error => error,
        })?;
        Ok(output.text)
    }
}

fn gotmpl_is_empty(node: &Node) -> bool {
    matches!(node, Node::Text(text) if text.text.trim().is_empty())
}

/// The text made so far; full at [`MAX_OUTPUT`].
struct Output<'a> {
    text: String,
    budget: &'a Budget,
}

impl fmt::Write for Output<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.text.len() + text.len() > MAX_OUTPUT || !self.budget.pay(text.len() + 1) {
            return Err(fmt::Error);
        }
        self.text.push_str(text);
        Ok(())
    }
}

/// Puts a call in front of a body, which pays for its nodes each time it is entered.
fn charge(body: &mut ListNode, nodes: usize) {
    let pos = body.pos;
    let args = vec![
        Expr::Identifier(pos, SmolStr::new_static(STEP)),
        Expr::Number(pos, Number::Int(i64::try_from(nodes).unwrap_or(i64::MAX))),
    ];
    let commands = vec![CommandNode { pos, args }];
    let pipe = PipeNode { pos, decl: Vec::new(), commands, is_assign: false };
    body.nodes.insert(0, Node::Action(ActionNode { pos, pipe }));
}

/// Prepares nodes, notes the functions they call, and counts what entering them once can cost.
fn prepare_list(list: &mut ListNode, functions: &mut BTreeSet<String>) -> usize {
    list.nodes.iter_mut().map(|node| prepare_node(node, functions)).sum()
}

fn prepare_node(node: &mut Node, functions: &mut BTreeSet<String>) -> usize {
    1 + match node {
        Node::List(list) => prepare_list(list, functions),
        Node::Action(action) => {
            assign_what_is_set(&mut action.pipe);
            prepare_pipe(&mut action.pipe, functions)
        }
        Node::If(branch) | Node::With(branch) => {
            prepare_pipe(&mut branch.pipe, functions)
                + prepare_list(&mut branch.body, functions)
                + prepare_else(branch, functions)
        }
        Node::Range(branch) => {
            let nodes = prepare_list(&mut branch.body, functions);
            charge(&mut branch.body, nodes);
            prepare_pipe(&mut branch.pipe, functions) + prepare_else(branch, functions)
        }
        Node::Template(template) => match &mut template.pipe {
            Some(pipe) => prepare_pipe(pipe, functions),
            None => 0,
        },
        Node::Define(define) => prepare_list(&mut define.body, functions),
        Node::Text(_) | Node::Break(_) | Node::Continue(_) => 0,
    }
}

fn prepare_else(branch: &mut BranchNode, functions: &mut BTreeSet<String>) -> usize {
    branch.else_body.as_mut().map_or(0, |body| prepare_list(body, functions))
}

fn prepare_pipe(pipe: &mut PipeNode, functions: &mut BTreeSet<String>) -> usize {
    let arguments = pipe.commands.iter_mut().flat_map(|command| &mut command.args);
    arguments.map(|argument| prepare_expression(argument, functions)).sum()
}

fn prepare_expression(expression: &mut Expr, functions: &mut BTreeSet<String>) -> usize {
    1 + match expression {
        Expr::Identifier(_, name) => {
            functions.insert(name.to_string());
            0
        }
        Expr::Field(_, fields) => {
            // Values are the user's own maps, where such names are keys like any other.
            if fields.first().is_none_or(|first| first != "Values") {
                replace_methods(fields, 2);
            }
            fields.len()
        }
        Expr::Variable(_, name, fields) => {
            if !(name == "$" && fields.first().is_some_and(|first| first == "Values")) {
                replace_methods(fields, 1);
            }
            fields.len()
        }
        Expr::Pipe(_, pipe) => prepare_pipe(pipe, functions),
        Expr::Chain(_, inner, fields) => {
            replace_methods(fields, 1);
            fields.len() + prepare_expression(inner, functions)
        }
        Expr::Dot(_) | Expr::String(..) | Expr::Number(..) | Expr::Bool(..) | Expr::Nil(_) => 0,
    }
}

/// Getters of messages become their members; an enum is its name already, and a wrapper its content.
fn replace_methods(fields: &mut Vec<SmolStr>, least: usize) {
    if fields.len() >= least && fields.last().is_some_and(|last| last == "GetValue" || last == "String") {
        fields.pop();
    }
    for field in fields {
        if let Some(member) = field.strip_prefix("Get")
            && member.starts_with(|first: char| first.is_ascii_uppercase())
        {
            *field = SmolStr::new(member);
        }
    }
}

/// Sprig's `set` and `unset` change the dictionary they are given; here values never change, so the variable does.
fn assign_what_is_set(pipe: &mut PipeNode) {
    let throws_away = pipe.decl.len() == 1 && pipe.decl.first().is_some_and(|name| name == "$_");
    let [command] = pipe.commands.as_slice() else { return };
    let changes = matches!(command.args.first(), Some(Expr::Identifier(_, name))
        if matches!(name.as_str(), "set" | "unset" | "merge" | "mergeOverwrite"));
    if let (true, true, Some(Expr::Variable(_, variable, fields))) =
        (throws_away, changes, command.args.get(1))
        && fields.is_empty()
        && variable != "$"
    {
        pipe.decl = vec![variable.clone()];
        pipe.is_assign = true;
    }
}
