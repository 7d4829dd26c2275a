// snippets.js - the shortest program that gets vectors from this server, in three languages.

import {base, getKey} from './api.js';
import {$} from './format.js';
import {modelName} from './playground.js';
import {tabs} from './tabs.js';

const texts = ['what lifts the threads?', 'a heddle lifts the threads'];

// Double quotes and backslashes read the same in JSON, Python and JavaScript.
const quote = JSON.stringify;

const snippets = {
  curl: (model, key) => `curl ${base}/v1/embeddings \\
  -H 'Content-Type: application/json' \\${key ? `
  -H "Authorization: Bearer $HEDDLE_API_KEY" \\` : ''}
  -d '${JSON.stringify({model, input: texts}).replaceAll("'", "'\\''")}'`,

  python: (model, key) => `${key ? 'import os\n\n' : ''}from openai import OpenAI  # pip install openai

client = OpenAI(base_url=${quote(`${base}/v1`)}, api_key=${key ? 'os.environ["HEDDLE_API_KEY"]' : '"none"'})
reply = client.embeddings.create(
    model=${quote(model)},
    input=[${texts.map(quote).join(', ')}],
)
print([len(row.embedding) for row in reply.data], reply.usage.total_tokens)`,

  js: (model, key) => `const reply = await fetch(${quote(`${base}/v1/embeddings`)}, {
  method: "POST",
  headers: {
    "Content-Type": "application/json",${key ? `
    "Authorization": \`Bearer \${process.env.HEDDLE_API_KEY}\`,` : ''}
  },
  body: JSON.stringify({
    model: ${quote(model)},
    input: [${texts.map(quote).join(', ')}],
  }),
});
const {data, usage} = await reply.json();
console.log(data.map((row) => row.embedding.length), usage.total_tokens);`,
};

let language = 'curl';

export function show() {
  $('snippet').textContent = snippets[language](modelName(), getKey() !== '');
}

// Without a secure context there is no clipboard to write to: the code is selected, for the person to copy.
async function copy() {
  let done = false;
  try {
    await navigator.clipboard.writeText($('snippet').textContent);
    done = true;
  } catch {
    getSelection().selectAllChildren($('snippet'));
    done = document.execCommand('copy');
  }
  $('copy').textContent = done ? 'Copied' : 'Selected';
  setTimeout(() => ($('copy').textContent = 'Copy'), 1500);
}

export function start() {
  tabs($('clients').querySelector('[role=tablist]'), (tab) => {
    language = tab.id.replace('tab-', '');
    $('pane-snippet').setAttribute('aria-labelledby', tab.id);
    show();
  });
  $('copy').addEventListener('click', copy);
  show();
}
