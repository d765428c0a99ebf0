// Runs once for the list of cards, which may be built anew: keys press the tab's own buttons.
const tab = () => document.querySelector('#triplets');
const open = () => tab() !== null && tab().offsetParent !== null;
const buttons = { j: '#triplet-next', k: '#triplet-previous', a: '#triplet-accept', r: '#triplet-reject' };
const fields = { e: '#triplet-text', '/': '#triplets-words' };
const press = (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || !open()) return;
  if (event.key === 'Escape' && event.target.closest?.('#triplet-text, #triplets-words')) return event.target.blur();
  if (window.recompose.typing(event.target)) return;
  if (fields[event.key]) {
    event.preventDefault();
    document.querySelector(`${fields[event.key]} :is(textarea, input)`)?.focus();
  } else if (buttons[event.key] && !(event.repeat && 'ar'.includes(event.key))) {
    event.preventDefault();
    document.querySelector(buttons[event.key])?.click();
  }
};
// Gradio may build the tab anew: the page keeps one listener, the latest.
if (window.recompose.tripletKeys) document.removeEventListener('keydown', window.recompose.tripletKeys);
window.recompose.tripletKeys = press;
document.addEventListener('keydown', press);

// The card looked at stays in sight of the list, and has the focus where the list has it.
watch('value', () => requestAnimationFrame(() => {
  const current = element.querySelector('.card[aria-current="true"]');
  if (element.contains(document.activeElement)) current?.querySelector('button').focus({ preventScroll: true });
  if (current && open() && !window.recompose.isPhone()) current.scrollIntoView({ block: 'nearest' });
}));
