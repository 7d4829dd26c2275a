import x from "y";
export const add = (a: number, b: number) => {
  return a + b;
};
export default class Foo extends Bar {
  private x = 1;
  constructor() {
    super();
  }
  async render(a: string): Promise<void> {
    return;
  }
}
function plain() {
  return `a
function fake() {}
`;
}
