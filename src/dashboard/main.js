import { html, render } from 'htm/preact'
import { useEffect, useRef } from 'preact/hooks'
import { address, linkTo } from './address.js'
import { enterToken, hasToken, tokenProblem } from './api.js'
import { MessageScreen } from './message.js'
import { MessagesScreen } from './messages.js'
import { OverviewScreen } from './overview.js'
import { RejectedBodyScreen, RejectedScreen } from './rejected.js'
import { focusScreen, listenForShortcuts, Shortcuts, showShortcuts } from './shortcuts.js'
import { LOCAL_ZONE, toggleUtc, utc } from './time.js'
import { TokenForm } from './token.js'

/** The screens in the navigation, by path. */
const SCREENS = new Map([
  ['/', 'Overview'],
  ['/messages', 'Messages'],
  ['/rejected', 'Rejected'],
])

/** The screen of the address. @param {{ path: string }} props */
function Screen({ path }) {
  const [, area, id] = path.split('/')
  if (id !== undefined) {
    const decoded = decodeURIComponent(id)
    return area === 'rejected'
      ? html`<${RejectedBodyScreen} id=${decoded} key=${path} />`
      : html`<${MessageScreen} id=${decoded} key=${path} />`
  }
  if (area === 'messages') return html`<${MessagesScreen} />`
  return area === 'rejected' ? html`<${RejectedScreen} />` : html`<${OverviewScreen} />`
}

function Header() {
  const { path } = address.value
  return html`<header>
    <a class="skip" href="#main">Skip to the content</a>
    <nav aria-label="Screens">
      ${[...SCREENS].map(([target, name]) => {
        const isCurrent = target === path || (target !== '/' && path.startsWith(`${target}/`))
        return html`<a href=${linkTo(target)} aria-current=${isCurrent ? 'page' : undefined}>${name}</a>`
      })}
    </nav>
    <div class="tools">
      <button type="button" aria-pressed=${utc.value} title="Times are in ${utc.value ? 'UTC' : LOCAL_ZONE}" onClick=${toggleUtc}>UTC</button>
      ${hasToken.value && html`<button type="button" onClick=${() => enterToken('')}>Forget token</button>`}
      <button type="button" aria-label="Keyboard shortcuts" title="Keyboard shortcuts" onClick=${showShortcuts}>?</button>
    </div>
  </header>`
}

/** Sets the title and the focus of a new screen. @param {string} path */
function useFocus(path) {
  const isFirst = useRef(true)
  useEffect(() => {
    const heading = document.querySelector('h1')
    document.title = `${heading?.textContent ?? 'Dashboard'} – Webhook messages`
    if (isFirst.current) isFirst.current = false
    else {
      focusScreen()
      if (path !== '/messages') window.scrollTo(0, 0)
    }
  }, [path])
}

function App() {
  const { path } = address.value
  useFocus(path)
  return html`<${Header} />
    <main id="main" tabindex="-1">
      ${
        tokenProblem.value === undefined
          ? html`<${Screen} path=${path} />`
          : html`<${TokenForm} problem=${tokenProblem.value} />`
      }
    </main>
    <${Shortcuts} />`
}

listenForShortcuts()
render(html`<${App} />`, document.body)
