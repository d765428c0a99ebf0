// Runs once for the details of a triplet: an arrow of the group leads to its triplet, by mouse and by keyboard.
const follow = (event) => {
  const edge = event.target.closest('[data-edge]');
  if (!edge) return;
  event.preventDefault();
  trigger('follow', { edge: Number(edge.dataset.edge) });
};
element.addEventListener('click', follow);
element.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' || event.key === ' ') follow(event);
});
