// What somebody has opened, typed, ticked or chosen stays as it is while the page around it follows what happens.
(() => {
  const changed = {
    open: (node) => node.matches("details"),
    value: (node) => node.matches("input, textarea") && node.value !== node.defaultValue,
    checked: (node) => node.checked !== node.defaultChecked,
    selected: (node) => node.selected !== node.defaultSelected,
  };
  // A form that is open: it is about what its reader saw when it was opened.
  const openForm = "details.action[open]";
  const isElement = (node) => node.nodeType === Node.ELEMENT_NODE;
  Object.assign(Idiomorph.defaults.callbacks, {
    beforeNodeMorphed: (node) => !(isElement(node) && node.matches(openForm)),
    beforeNodeRemoved: (node) => !(isElement(node) && (node.matches(openForm) || node.querySelector(openForm))),
    beforeAttributeUpdated: (name, node) => !changed[name]?.(node),
  });
})();
