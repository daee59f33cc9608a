// Opens workflows in ComfyUI's own frontend, in headless Chromium, and says what came of each, as JSON on stdout.
// stdin: {"url", "chromium", "modules", "screenshots", "settings": {...}, "workflows": {"title": {...}},
//         "browse": {"folder", "title"}} and, where wanted, "pictures": [titles], "search": [words], "nodes": [types] and
//         "run": {"workflow", "values"}
// modules: the folder whose node_modules holds playwright-core; screenshots: a folder, which gets of each title in pictures the
// page as it opens (title.png) and the graph alone (title.graph.png); browse: a template to open by hand; search: what finds
// which node; nodes: types to lay side by side; run: a workflow to run to its end, its widgets set by name

import { createRequire } from 'node:module'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'
]
const SETTLE = 1500 // milliseconds until dialogs and pictures are there
const START = 300000 // a busy machine takes long to draw
const VIEW = { width: 1366, height: 768 }
// What the frontend itself complains about: an older server lacks some of its routes, and no page here may call out.
const NOT_OURS = /Failed to fetch queue|Jobs API|Content Security Policy/
// What it asks for in vain: files of a user who has none yet, a picture that nobody has chosen yet, and routes of newer servers.
// The page's own code is in /assets.
const MAY_BE_MISSING =
  /^\/(user\.css|api\/((v2\/)?userdata|jobs|assets|node_replacements|secrets|hub|workspace)\b|api\/view\?.*filename=(undefined)?&)/
const ZOOM = 0.8 // of the picture of the graph alone
const EDGE = { x: 320, y: 160, right: 420, bottom: 60 } // what the frontend's own bars cover

const task = JSON.parse(await text(process.stdin))
const { chromium } = createRequire(join(task.modules, 'package.json'))('playwright-core')

const browser = await chromium.launch({ executablePath: task.chromium, headless: true, args: FLAGS })
try {
  const page = await browser.newPage({ viewport: VIEW })
  page.setDefaultTimeout(START)
  const seen = watch(page)
  await set()
  await open(page)
  const results = {}
  for (const [title, workflow] of Object.entries(task.workflows)) {
    seen.outside.length = seen.errors.length = 0
    results[title] = await check(page, title, workflow)
    Object.assign(results[title], { outside: [...seen.outside], errors: [...seen.errors] })
  }
  results.browse = await browse(page, task.browse)
  results.search = {}
  for (const words of task.search ?? []) results.search[words] = await search(page, words)
  seen.errors.length = 0
  if (task.nodes) results.nodes = { laid: await lay(page, task.nodes), errors: [...seen.errors] }
  seen.errors.length = 0
  if (task.run) results.run = { ...(await run(page, task.run)), errors: [...seen.errors] }
  const version = await page.evaluate(() => window.__COMFYUI_FRONTEND_VERSION__)
  console.log(JSON.stringify({ version, results }))
} finally {
  await browser.close()
}

/** Record what the page asks of other machines, which it does not get, and the errors it throws. */
function watch(page) {
  const seen = { outside: [], errors: [] }
  page.on('pageerror', (error) => seen.errors.push(String(error)))
  page.on('console', (message) => {
    if (message.type() === 'error' && !notOurs(message)) seen.errors.push(`${message.text()} ${message.location().url}`)
  })
  page.route('**/*', (route) => {
    const { protocol, hostname } = new URL(route.request().url())
    if (['data:', 'blob:'].includes(protocol) || ['127.0.0.1', 'localhost'].includes(hostname)) return route.continue()
    seen.outside.push(route.request().url())
    return route.abort()
  })
  return seen
}

/** Whether an error of the console is the frontend's own affair. */
function notOurs(message) {
  if (!message.text().startsWith('Failed to load resource')) return NOT_OURS.test(message.text())
  const { url } = message.location()
  if (!URL.canParse(url)) return false
  const { pathname, search } = new URL(url)
  return /status of 40[45]/.test(message.text()) && MAY_BE_MISSING.test(pathname + search)
}

/** The first start would show the tutorial's templates over the graph; and what the test wants set. */
async function set() {
  const body = JSON.stringify({ 'Comfy.TutorialCompleted': true, ...task.settings })
  await fetch(`${task.url}/settings`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body })
}

async function open(page) {
  await page.goto(task.url, { waitUntil: 'domcontentloaded' })
  const ready = () =>
    window.app?.graph && window.app.canvas && Object.keys(window.LiteGraph?.registered_node_types ?? {}).length > 100
  await page.waitForFunction(ready, null, { timeout: START })
  await page.waitForTimeout(SETTLE)
}

/** Load one workflow as the template browser would, and look at what stands there. */
async function check(page, title, workflow) {
  await page.keyboard.press('Escape') // a dialog of the one before
  await page.evaluate(([graph, name]) => window.app.loadGraphData(graph, true, true, name), [workflow, title])
  await page.waitForTimeout(SETTLE)
  const found = await page.evaluate(inspect)
  if (task.pictures?.includes(title)) {
    await page.screenshot({ path: join(task.screenshots, `${title}.png`) })
    await picture(page, join(task.screenshots, `${title}.graph.png`))
  }
  return found
}

/** Find a template where users find it. */
async function browse(page, { folder, title }) {
  await page.keyboard.press('Escape')
  await page.evaluate(() => window.app.extensionManager.command.execute('Comfy.BrowseTemplates'))
  const dialog = page.getByRole('dialog')
  await dialog.getByText(folder, { exact: true }).first().click()
  await dialog.getByText(title, { exact: true }).first().click()
  await page.waitForTimeout(2 * SETTLE)
  return page.evaluate(inspect)
}

/** Add a node as users do, by a double click and some words; what stands on it, and what is inside of it. */
async function search(page, words) {
  for (let attempt = 1; attempt <= 5; attempt++) { // a busy machine may open the search too late for the words
    await add(page, words, attempt * SETTLE)
    if (await page.evaluate(() => window.app.graph._nodes.length)) break
  }
  return page.evaluate(() =>
    window.app.graph._nodes.map(({ title, widgets, subgraph }) => ({
      title,
      fields: widgets?.map(({ name }) => name),
      inside: subgraph?._nodes.map(({ type }) => type)
    }))
  )
}

async function add(page, words, settle) {
  await page.keyboard.press('Escape')
  await page.evaluate(() => window.app.graph.clear())
  await page.waitForTimeout(settle)
  await page.mouse.dblclick(VIEW.width / 2, VIEW.height / 2)
  await page.waitForTimeout(settle)
  await page.keyboard.type(words)
  await page.waitForTimeout(settle)
  await page.screenshot({ path: join(task.screenshots, `search ${words}.png`) })
  await page.keyboard.press('Enter') // what fits best comes first
  await page.waitForTimeout(settle)
  await page.mouse.click(VIEW.width / 4, VIEW.height / 3) // a newer frontend lets the user choose the place
  await page.waitForTimeout(settle)
}

/** One node of each type; what its fields are, and what of them the newer renderer draws. */
async function lay(page, types) {
  await page.keyboard.press('Escape')
  await page.evaluate((names) => {
    const { graph, canvas } = window.app
    graph.clear()
    names.forEach((name, number) => {
      const node = window.LiteGraph.createNode(name)
      node.pos = [(number % 7) * 420, Math.floor(number / 7) * 620]
      graph.add(node)
    })
    canvas.ds.scale = 0.42
    canvas.ds.offset = [20, 90]
    canvas.setDirty(true, true)
  }, types)
  await page.waitForTimeout(2 * SETTLE)
  await page.screenshot({ path: join(task.screenshots, 'nodes.png') })
  return page.evaluate(() => {
    // what follows a seed is a button on it, and what is advanced is hidden until it is asked for
    const isField = ({ name, hidden, advanced }) => !hidden && !advanced && name !== 'control_after_generate'
    return window.app.graph._nodes.map(({ id, type, title, widgets, inputs, outputs }) => {
      const drawn = document.querySelector(`[data-node-id="${id}"]`)
      return {
        type,
        title,
        fields: widgets?.filter(isField).map(({ label, name }) => label || name) ?? [],
        sockets: [...inputs.filter(({ widget }) => !widget), ...outputs].map(({ label, localized_name, name }) => label || localized_name || name),
        text: drawn?.innerText
      }
    })
  })
}

/** Run a workflow to its end; how many pictures stood on each of its nodes at most, and how much room they took then. */
async function run(page, { workflow, values }) {
  await page.keyboard.press('Escape')
  await page.evaluate((graph) => window.app.loadGraphData(graph, true, true, 'run'), workflow)
  await page.waitForTimeout(SETTLE)
  const ran = await page.evaluate(runHere, values)
  await page.waitForTimeout(SETTLE)
  await page.screenshot({ path: join(task.screenshots, 'run.png') })
  const { drawn } = await page.evaluate(inspect)
  return { ...ran, drawn }
}

/** Runs in the page. */
async function runHere(values) {
  const { app } = window
  const nodes = app.graph._nodes
  for (const node of nodes) {
    for (const widget of node.widgets ?? []) if (widget.name in values) widget.value = values[widget.name]
  }
  const shown = { live: {}, after: {} }
  const look = (when) => {
    for (const node of nodes) {
      const drawn = [...document.querySelectorAll(`[data-node-id="${node.id}"] img`)].filter((image) => image.naturalWidth)
      const count = Math.max(drawn.length, node.imgs?.length ?? 0)
      shown[when][node.title] = Math.max(shown[when][node.title] ?? 0, count)
    }
  }
  const ended = new Promise((resolve) => {
    for (const type of ['execution_success', 'execution_error', 'execution_interrupted'])
      app.api.addEventListener(type, ({ detail }) => resolve({ type, said: detail.exception_message ?? '' }), { once: true })
  })
  const looking = setInterval(() => look('live'), 30)
  await app.queuePrompt(0, 1)
  const end = await ended
  clearInterval(looking)
  await new Promise((resolve) => setTimeout(resolve, 1500)) // until the results' pictures are there
  look('after')
  return { end, shown }
}

/** The whole graph without anything around it, in a window large enough for that. */
async function picture(page, path) {
  const bounds = await page.evaluate(() => {
    const groups = window.app.graph._groups.map(({ pos, size }) => [pos[0], pos[1], pos[0] + size[0], pos[1] + size[1]])
    const bends = [...window.app.graph.reroutes.values()].map(({ pos }) => [pos[0], pos[1], pos[0], pos[1]])
    const extreme = (pick, index) => pick(...[...groups, ...bends].map((box) => box[index]))
    return [extreme(Math.min, 0), extreme(Math.min, 1), extreme(Math.max, 2), extreme(Math.max, 3)]
  })
  const [left, top, right, bottom] = bounds.map((side, index) => side + (index < 2 ? -20 : 20))
  const clip = { x: EDGE.x, y: EDGE.y, width: (right - left) * ZOOM, height: (bottom - top) * ZOOM }
  const width = Math.ceil(clip.x + clip.width + EDGE.right)
  await page.setViewportSize({ width, height: Math.ceil(clip.y + clip.height + EDGE.bottom) })
  await page.waitForTimeout(300)
  await page.evaluate(
    ([x, y, scale]) => {
      const { canvas } = window.app
      const { left, top } = canvas.canvas.getBoundingClientRect()
      canvas.ds.scale = scale
      canvas.ds.offset = [(x.screen - left) / scale - x.graph, (y.screen - top) / scale - y.graph]
      canvas.setDirty(true, true)
    },
    [{ screen: EDGE.x, graph: left }, { screen: EDGE.y, graph: top }, ZOOM]
  )
  await page.waitForTimeout(SETTLE)
  await page.screenshot({ path, clip })
  await page.setViewportSize(VIEW)
}

/** Runs in the page. */
async function inspect() {
  const nodes = window.app.graph._nodes
  const shown = (selector) => [...document.querySelectorAll(selector)].map((element) => element.innerText)
  const badCombos = nodes.flatMap((node) =>
    (node.widgets ?? [])
      .filter(({ options, value }) => Array.isArray(options?.values) && !options.values.includes(value))
      .map((widget) => `${node.title}.${widget.name}=${widget.value}`)
  )
  const drawn = [...document.querySelectorAll('[data-node-id]')].map((element) => {
    const { left, top, right, bottom } = element.getBoundingClientRect()
    return { id: element.dataset.nodeId, box: [left, top, right, bottom] }
  })
  const box = ({ title, pos, size }, needed) => ({ title, pos: [...pos], size: [...size], needed: [...needed] })
  const { output } = await window.app.graphToPrompt()
  return {
    missing: nodes.filter((n) => !window.LiteGraph.registered_node_types[n.type] || n.has_errors).map((n) => n.type),
    badCombos,
    dialogs: shown('.p-dialog, [role=dialog]'),
    toasts: shown('.p-toast-message'),
    scale: window.app.canvas.ds.scale,
    drawn, // by the newer renderer; the older one has no elements for nodes
    boxes: nodes.map((node) => box(node, node.computeSize())),
    groups: window.app.graph._groups.map((group) => box(group, group.size)),
    prompt: output,
    saved: window.app.graph.serialize()
  }
}
